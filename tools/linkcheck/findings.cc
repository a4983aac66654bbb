// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tools/linkcheck/findings.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "tools/linkcheck/http_message.h"
#include "tools/linkcheck/page.h"

namespace linkcheck {
namespace {

// Hosts of others turn programs away with these while people get in: worth a note, not proof of a
// dead link.
bool is_refusal(int status) {
  return status == 401 || status == 403 || status == 407 || status == 429 || status == 999;
}

struct Verdict {
  bool dead = false;
  std::string reason;  // of the death, or of the note
};

// What is wrong with one URL by itself, its redirect left aside.
Verdict own_verdict(const UrlRecord& record) {
  switch (record.state) {
    case UrlState::kMalformed:
      return {true, "malformed URL: " + record.error};
    case UrlState::kFailed:
      return {true, record.error};
    case UrlState::kAnswered:
      break;
    default:
      return {};
  }
  if (!record.error.empty()) return {true, record.error};
  const int status = record.status();
  // Only of what our own server does not serve: whether it is there is not asked.
  if (status >= 400 && record.exchange && !record.exchange->note.empty()) {
    return {false, record.exchange->note};
  }
  if (status >= 400) {
    const bool refused = !record.ours && is_refusal(status);
    return {!refused, status_text(status) + (refused ? " (refused to us)" : "")};
  }
  return {false, record.exchange ? record.exchange->note : ""};
}

Verdict verdict_of(const Ledger& ledger, const RedirectChain& chain) {
  if (chain.loop) return {true, "redirect loop"};
  Verdict verdict = own_verdict(ledger[chain.end()]);
  if (chain.hops.size() > 1 && !verdict.reason.empty()) {
    verdict.reason = "redirects, then: " + verdict.reason;
  }
  return verdict;
}

// The links to anchors that the page at the end of the chain does not have, by fragment.
std::map<std::string, std::vector<Referrer>> broken_fragments(const Ledger& ledger, UrlId id,
                                                              const UrlRecord& target) {
  std::map<std::string, std::vector<Referrer>> broken;
  if (!target.page || !target.complete || !target.exchange) return broken;
  for (const Referrer& referrer : ledger[id].referrers) {
    const std::string& fragment = ledger.fragment(referrer.fragment);
    if (!has_anchor(target.exchange->anchors, fragment)) broken[fragment].push_back(referrer);
  }
  return broken;
}

// A URL that is dead is dead whatever the fragment: each page counts once, with all its links.
std::vector<Referrer> one_a_page(const std::vector<Referrer>& referrers) {
  std::vector<Referrer> merged;
  for (const Referrer& referrer : referrers) {
    if (!merged.empty() && merged.back().page == referrer.page) {
      merged.back().count += referrer.count;
    } else {
      merged.push_back({referrer.page, referrer.count, 0});
    }
  }
  return merged;
}

class Finder {
 public:
  explicit Finder(const Ledger& ledger) : ledger_(ledger) {}

  Findings run() {
    for (UrlId id = 0; id < ledger_.size(); ++id) look_at(id);
    sort(found_.dead);
    sort(found_.notes);
    sort(found_.redirects);
    return std::move(found_);
  }

 private:
  void look_at(UrlId id);
  void judge(UrlId id);
  void sort(std::vector<Finding>& findings) const;

  const Ledger& ledger_;
  Findings found_;
};

void Finder::look_at(UrlId id) {
  const UrlRecord& record = ledger_[id];
  for (const Referrer& referrer : record.referrers) found_.links += referrer.count;
  found_.pages += record.page ? 1 : 0;
  switch (record.state) {
    case UrlState::kPending:
      ++found_.unasked;
      return;
    case UrlState::kSkipped:
      ++found_.skipped;
      return;
    case UrlState::kListed:
      ++found_.listed;
      return;
    case UrlState::kForbidden:
      ++found_.forbidden;
      return;
    default:
      ++found_.urls;
      judge(id);
  }
}

void Finder::judge(UrlId id) {
  const RedirectChain chain = follow_redirects(ledger_, id);
  const Verdict verdict = verdict_of(ledger_, chain);
  Finding finding;
  finding.url = id;
  finding.reason = verdict.reason;
  finding.redirects.assign(chain.hops.begin() + 1, chain.hops.end());
  if (!verdict.dead) ++found_.fine;
  // A URL that only a redirect leads to is told about under the one that redirects.
  const bool linked = ledger_[id].start || !ledger_[id].referrers.empty();
  if (!verdict.dead && linked) {
    for (auto& [fragment, referrers] : broken_fragments(ledger_, id, ledger_[chain.end()])) {
      Finding broken = finding;
      broken.fragment = fragment;
      broken.reason = "no such anchor";
      broken.referrers = std::move(referrers);
      found_.dead.push_back(std::move(broken));
    }
  }
  if (!linked) return;
  finding.referrers = one_a_page(ledger_[id].referrers);
  if (verdict.dead) {
    found_.dead.push_back(std::move(finding));
  } else if (!verdict.reason.empty()) {
    found_.notes.push_back(std::move(finding));
  } else if (!finding.redirects.empty()) {
    finding.reason = status_text(ledger_[id].status());
    found_.redirects.push_back(std::move(finding));
  }
}

void Finder::sort(std::vector<Finding>& findings) const {
  std::sort(findings.begin(), findings.end(), [this](const Finding& a, const Finding& b) {
    return std::tie(a.reason, ledger_[a.url].url, a.fragment) <
           std::tie(b.reason, ledger_[b.url].url, b.fragment);
  });
}

}  // namespace

Findings find(const Ledger& ledger) {
  return Finder(ledger).run();
}

std::string status_text(int status) {
  const std::string_view name = status_name(status);
  return std::to_string(status) + (name.empty() ? "" : " " + std::string(name));
}

}  // namespace linkcheck
