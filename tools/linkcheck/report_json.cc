// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include <nlohmann/json.hpp>

#include "tools/linkcheck/report.h"

namespace linkcheck {
namespace {

using nlohmann::json;

const char* state_name(UrlState state) {
  switch (state) {
    case UrlState::kPending:
      return "not asked";
    case UrlState::kAnswered:
      return "answered";
    case UrlState::kFailed:
      return "failed";
    case UrlState::kMalformed:
      return "malformed";
    case UrlState::kSkipped:
      return "other scheme";
    case UrlState::kListed:
      return "external";
    case UrlState::kForbidden:
      return "forbidden";
  }
  return "";
}

const char* ending_name(Ending ending) {
  switch (ending) {
    case Ending::kComplete:
      return "complete";
    case Ending::kInterrupted:
      return "interrupted";
    case Ending::kDeadline:
      return "deadline";
    case Ending::kLack:
      return "lack";
  }
  return "";
}

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// Pages may hold any bytes; what is not UTF-8 becomes a replacement character instead of an
// exception.
std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json referrers_json(const Ledger& ledger, const std::vector<Referrer>& referrers) {
  json list = json::array();
  for (const Referrer& referrer : referrers) {
    json entry = {{"page", ledger[referrer.page].url}, {"count", referrer.count}};
    if (referrer.fragment != 0) entry["fragment"] = ledger.fragment(referrer.fragment);
    list.push_back(std::move(entry));
  }
  return list;
}

json hops_json(const Ledger& ledger, const std::vector<UrlId>& hops) {
  json list = json::array();
  for (const UrlId hop : hops) list.push_back(ledger[hop].url);
  return list;
}

json finding_json(const Ledger& ledger, const Finding& finding) {
  json entry = {{"url", ledger[finding.url].url},
                {"reason", finding.reason},
                {"linked_from", referrers_json(ledger, finding.referrers)}};
  if (!finding.fragment.empty()) entry["fragment"] = finding.fragment;
  if (!finding.redirects.empty()) entry["redirects"] = hops_json(ledger, finding.redirects);
  return entry;
}

void add_exchange(json& entry, const Exchange& exchange) {
  if (exchange.status != 0) entry["status"] = exchange.status;
  if (!exchange.note.empty()) entry["note"] = exchange.note;
  if (!exchange.type.empty()) entry["content_type"] = exchange.type;
  entry["method"] = exchange.method;
  entry["milliseconds"] = milliseconds(exchange.elapsed);
  entry["bytes"] = exchange.bytes;
}

json record_json(const Ledger& ledger, UrlId id) {
  const UrlRecord& record = ledger[id];
  json entry = {{"url", record.url}, {"state", state_name(record.state)}, {"ours", record.ours}};
  if (record.start) entry["start"] = true;
  if (!record.error.empty()) entry["error"] = record.error;
  if (record.exchange) add_exchange(entry, *record.exchange);
  const RedirectChain chain = follow_redirects(ledger, id);
  if (chain.hops.size() > 1) {
    entry["redirects"] = hops_json(ledger, {chain.hops.begin() + 1, chain.hops.end()});
  }
  entry["linked_from"] = referrers_json(ledger, record.referrers);
  return entry;
}

json summary_json(const Report& report) {
  const Findings& found = report.findings;
  return {{"ending", ending_name(report.ending)},
          {"lack", report.lack},
          {"urls", found.urls},
          {"fine", found.fine},
          {"dead", found.dead.size()},
          {"pages", found.pages},
          {"links", found.links},
          {"external_not_asked", found.listed},
          {"forbidden", found.forbidden},
          {"other_schemes", found.skipped},
          {"not_asked", found.unasked},
          {"tasks_at_most", report.stats.tasks_at_most},
          {"milliseconds", milliseconds(report.stats.wall)}};
}

json stats_json(const RunStats& stats) {
  return {{"requests", stats.requests},
          {"bytes_received", stats.bytes_received},
          {"tasks_at_most", stats.tasks_at_most},
          {"tasks_spawned", stats.tasks_spawned},
          {"peak_memory_bytes", stats.peak_memory},
          {"tasks_left", stats.tasks_left},
          {"descriptors_left", stats.descriptors_left},
          {"stacks_left", stats.stacks_left}};
}

// One entry a line, each made and dropped by itself: the whole report never stands in memory.
template <typename MakeEntry>
void write_list(std::ostream& out, const char* name, std::size_t size, const MakeEntry& entry) {
  out << ",\n\"" << name << "\": [";
  for (std::size_t at = 0; at < size; ++at) {
    out << (at == 0 ? "\n  " : ",\n  ") << dumped(entry(at));
  }
  out << "\n]";
}

}  // namespace

void write_json(std::ostream& out, const Report& report) {
  const Ledger& ledger = report.ledger;
  const auto findings = [&](const char* name, const std::vector<Finding>& list) {
    write_list(out, name, list.size(),
               [&](std::size_t at) { return finding_json(ledger, list[at]); });
  };
  out << "{\"summary\": " << dumped(summary_json(report));
  json sites = json::array();
  for (const ServedSite& site : report.sites) {
    sites.push_back({{"origin", site.origin}, {"directory", site.label}});
  }
  out << ",\n\"served\": " << dumped(sites);
  findings("dead", report.findings.dead);
  findings("notes", report.findings.notes);
  write_list(out, "urls", ledger.size(),
             [&](std::size_t at) { return record_json(ledger, static_cast<UrlId>(at)); });
  if (report.show_stats) out << ",\n\"stats\": " << dumped(stats_json(report.stats));
  out << "}\n";
}

}  // namespace linkcheck
