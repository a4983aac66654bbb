// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
#include <algorithm>
#include <string_view>

#include "tools/linkcheck/report.h"
#include "tools/linkcheck/units.h"

namespace linkcheck {
namespace {

constexpr std::size_t kPlaces = 3;     // how many of the pages that hold a link are named
constexpr std::size_t kLongest = 160;  // a longer URL is cut in the middle

class TextWriter {
 public:
  TextWriter(std::ostream& out, const Report& report) : out_(out), report_(report) {}

  void write() {
    const Findings& found = report_.findings;
    if (!report_.quiet) summary();
    table("Dead links", found.dead);
    if (!report_.quiet) {
      table("Worth a look", found.notes);
      redirects();
    }
    if (report_.show_stats) stats();
  }

 private:
  std::string shown(UrlId id) const;
  std::string place(const Referrer& referrer) const;
  std::string places(const Finding& finding) const;
  std::size_t limit(std::size_t size) const {
    return report_.rows == 0 ? size : std::min(size, report_.rows);
  }
  void more(std::size_t size);
  void summary();
  void not_asked();
  void table(std::string_view title, const std::vector<Finding>& findings);
  void redirects();
  void stats();

  std::ostream& out_;
  const Report& report_;
};

std::string shortened(std::string text) {
  if (text.size() <= kLongest) return text;
  return text.substr(0, kLongest - 50) + "..." + text.substr(text.size() - 47);
}

std::string TextWriter::shown(UrlId id) const {
  std::string url = report_.ledger[id].url;
  if (url.empty()) return "''";
  for (const ServedSite& site : report_.sites) {
    if (url.compare(0, site.origin.size(), site.origin) == 0 &&
        url.compare(site.origin.size(), 1, "/") == 0) {
      url = site.label + url.substr(site.origin.size());
      break;
    }
  }
  return printable(shortened(std::move(url)));
}

std::string TextWriter::place(const Referrer& referrer) const {
  std::string text = shown(referrer.page);
  if (referrer.count > 1) text += " (" + format_count(referrer.count) + " times)";
  return text;
}

std::string TextWriter::places(const Finding& finding) const {
  if (finding.referrers.empty()) return "given on the command line";
  std::string text = "in ";
  const std::size_t named = std::min(finding.referrers.size(), kPlaces);
  for (std::size_t at = 0; at < named; ++at) {
    text += (at == 0 ? "" : ", ") + place(finding.referrers[at]);
  }
  const std::size_t rest = finding.referrers.size() - named;
  if (rest > 0) text += " and " + counted(rest, "more page", "more pages");
  return text;
}

void TextWriter::more(std::size_t size) {
  const std::size_t rest = size - limit(size);
  if (rest > 0)
    out_ << "  ... and " << format_count(rest) << " more (--rows 0 or --json shows all)\n";
}

// A dead link to an anchor leads to a page that is fine, or is counted with it.
std::string dead_links(const Findings& found) {
  const auto to_anchors =
      std::count_if(found.dead.begin(), found.dead.end(),
                    [](const Finding& finding) { return !finding.fragment.empty(); });
  std::string text = counted(found.dead.size(), "dead link", "dead links");
  if (to_anchors > 0) {
    text += " (" + format_count(static_cast<std::uint64_t>(to_anchors)) +
            " to anchors that are not there)";
  }
  return text;
}

void TextWriter::summary() {
  const Findings& found = report_.findings;
  out_ << counted(found.urls, "URL", "URLs") << " checked in "
       << format_duration(report_.stats.wall) << ": " << format_count(found.fine) << " fine, "
       << dead_links(found) << "; " << counted(found.pages, "page", "pages") << " read, "
       << counted(found.links, "link", "links") << " on them; at most "
       << counted(report_.stats.tasks_at_most, "task", "tasks") << ".\n";
  not_asked();
  if (report_.ending == Ending::kInterrupted) {
    out_ << "Interrupted: " << counted(found.unasked, "URL was", "URLs were")
         << " not checked. What is known so far follows.\n";
  } else if (report_.ending == Ending::kDeadline) {
    out_ << "The deadline passed: " << counted(found.unasked, "URL was", "URLs were")
         << " not checked.\n";
  } else if (report_.ending == Ending::kLack) {
    out_ << "Given up for lack of descriptors or memory: "
         << counted(found.unasked, "URL was", "URLs were")
         << " not checked. What is known so far follows.\n";
  }
}

void TextWriter::not_asked() {
  const Findings& found = report_.findings;
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (found.listed > 0) add(format_count(found.listed) + " on other hosts (--external asks them)");
  if (found.forbidden > 0) add(format_count(found.forbidden) + " that a robots.txt forbids");
  if (found.skipped > 0) add(format_count(found.skipped) + " of other schemes (mailto: and such)");
  if (!text.empty()) out_ << "Not asked for: " << text << ".\n";
}

void TextWriter::table(std::string_view title, const std::vector<Finding>& findings) {
  if (findings.empty()) return;
  if (!report_.quiet) out_ << "\n" << title << " (" << format_count(findings.size()) << ")\n";
  for (std::size_t at = 0; at < limit(findings.size()); ++at) {
    const Finding& finding = findings[at];
    out_ << "  " << printable(finding.reason) << ": " << shown(finding.url);
    if (!finding.fragment.empty()) out_ << "#" << printable(shortened(finding.fragment));
    out_ << "\n";
    for (const UrlId hop : finding.redirects) out_ << "      -> " << shown(hop) << "\n";
    out_ << "      " << places(finding) << "\n";
  }
  more(findings.size());
}

void TextWriter::redirects() {
  const std::vector<Finding>& findings = report_.findings.redirects;
  if (findings.empty()) return;
  out_ << "\nRedirects (" << format_count(findings.size()) << ")\n";
  const std::size_t rows =
      std::min<std::size_t>(limit(findings.size()), report_.rows == 0 ? SIZE_MAX : 5);
  for (std::size_t at = 0; at < rows; ++at) {
    out_ << "  " << findings[at].reason << ": " << shown(findings[at].url);
    for (const UrlId hop : findings[at].redirects) out_ << " -> " << shown(hop);
    out_ << "\n";
  }
  if (rows < findings.size()) {
    out_ << "  ... and " << format_count(findings.size() - rows)
         << " more (--rows 0 or --json shows all)\n";
  }
}

void TextWriter::stats() {
  const RunStats& stats = report_.stats;
  const double seconds = std::chrono::duration<double>(stats.wall).count();
  const auto rate = seconds > 0 ? static_cast<double>(stats.requests) / seconds : 0.0;
  out_ << "\nWall time " << format_duration(stats.wall) << ", "
       << counted(stats.requests, "request", "requests") << " ("
       << format_count(static_cast<std::uint64_t>(rate)) << " a second), "
       << format_bytes(stats.bytes_received) << " received\n"
       << "Tasks: at most " << format_count(stats.tasks_at_most) << " at a time, "
       << format_count(stats.tasks_spawned) << " in all\n"
       << "Memory: at most " << format_bytes(stats.peak_memory) << " resident\n"
       << "Left at the end: " << counted(stats.tasks_left, "task", "tasks") << ", "
       << counted(stats.descriptors_left, "descriptor", "descriptors") << ", "
       << counted(stats.stacks_left, "stack", "stacks") << "\n";
}

}  // namespace

void write_text(std::ostream& out, const Report& report) {
  TextWriter(out, report).write();
}

}  // namespace linkcheck
