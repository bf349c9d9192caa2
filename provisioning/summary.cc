#include "provisioning/summary.h"
#include "engine/base/markup.h"

#include <algorithm>
#include <array>

#include "engine/base/text.h"

namespace imapult::provisioning {
namespace {

constexpr std::array<std::string_view, 4> kOps = {"create", "update", "keep", "skip"};
constexpr std::size_t kListed = 200;

std::string file_of(const PlanReport& report, const Location& where) {
    return where.file < report.files.size() ? printable(report.files[where.file]) : std::string();
}

std::uint64_t count(const std::map<std::string, std::uint64_t>& ops, std::string_view op) {
    const auto found = ops.find(std::string(op));
    return found == ops.end() ? 0 : found->second;
}

std::string headline(const PlanReport& report) {
    if (!report.conflicts.empty()) {
        return std::to_string(report.conflicts.size()) +
               " conflicts: nothing was planned. Correct each of them and plan again.";
    }
    if (report.problems_total > 0) {
        return "Planned, but " + std::to_string(report.problems_total) +
               " broken lines of the files were left out.";
    }
    return "Planned without conflicts.";
}

template <class Line>
void list_some(std::string& out, std::size_t size, Line line) {
    for (std::size_t i = 0; i < std::min(size, kListed); ++i) out += "  " + line(i) + "\n";
    if (size > kListed) out += "  … and " + std::to_string(size - kListed) + " more\n";
}

}  // namespace

std::string conflict_line(const PlanReport& report, const Conflict& conflict) {
    std::string out = file_of(report, conflict.where) + ":" + std::to_string(conflict.where.line) +
                      ": " + std::string(conflict.kind) + ": " + printable(conflict.value, 256) +
                      ": " + printable(conflict.message) + " (" + printable(conflict.dn, 256);
    if (conflict.other) {
        out += "; the other: ";
        out += conflict.other->at_destination ? "at the destination"
                                              : file_of(report, conflict.other->where) + ":" +
                                                    std::to_string(conflict.other->where.line);
        out += " " + printable(conflict.other->dn, 256);
    }
    return out + ")";
}

std::string problem_line(const PlanReport& report, const FileProblem& problem) {
    Location where;
    where.file = problem.file;
    return file_of(report, where) + ":" + std::to_string(problem.problem.line) + ": " +
           (problem.problem.dn.empty() ? "" : printable(problem.problem.dn, 256) + ": ") +
           problem.problem.what;
}

std::string summary_text(const PlanReport& report) {
    std::string out = "imapult provision plan\n\n" + headline(report) + "\n\nSource: profile " +
                      std::string(name_of(report.profile)) + "\n";
    for (const auto& file : report.files) out += "  " + printable(file) + "\n";
    out += "\n";
    char row[128];
    std::snprintf(row, sizeof row, "%-16s%10s%10s%10s%10s\n", "", "create", "update", "keep",
                  "skip");
    out += row;
    for (const auto& [kind, ops] : report.counts) {
        std::snprintf(row, sizeof row, "%-16s", kind.c_str());
        out += row;
        for (const auto op : kOps) {
            std::snprintf(row, sizeof row, "%10llu",
                          static_cast<unsigned long long>(count(ops, op)));
            out += row;
        }
        out += "\n";
    }
    out += "\n" + std::to_string(report.decisions) +
           " decisions (dropped, rewritten, not carried): decisions.csv\n";
    if (report.random_passwords > 0) {
        out += std::to_string(report.random_passwords) +
               " accounts get a random password: passwords.csv\n";
    }
    for (const auto& note : report.notes) out += "Note: " + note + "\n";
    if (!report.conflicts.empty()) {
        out += "\nConflicts\n";
        list_some(out, report.conflicts.size(),
                  [&](std::size_t i) { return conflict_line(report, report.conflicts[i]); });
    }
    if (!report.problems.empty()) {
        out += "\nBroken lines\n";
        list_some(out, report.problems.size(),
                  [&](std::size_t i) { return problem_line(report, report.problems[i]); });
    }
    return out;
}

std::string summary_html(const PlanReport& report) {
    std::string out =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<title>imapult provision plan</title>\n<style>body{font:15px/1.5 "
        "sans-serif;max-width:60em;"
        "margin:2em auto;padding:0 1em}table{border-collapse:collapse}td,th{padding:.2em .8em;"
        "border-bottom:1px solid #ccc;text-align:right}th:first-child{text-align:left}"
        "li{overflow-wrap:anywhere}</style></head><body>\n<h1>Provisioning plan</h1>\n<p>" +
        escape_html(headline(report)) +
        "</p>\n<p>Source profile: " + std::string(name_of(report.profile)) + "</p>\n<ul>\n";
    for (const auto& file : report.files) out += "<li>" + escape_html(printable(file)) + "</li>\n";
    out += "</ul>\n<table><tr><th></th>";
    for (const auto op : kOps) out += "<th>" + std::string(op) + "</th>";
    out += "</tr>\n";
    for (const auto& [kind, ops] : report.counts) {
        out += "<tr><th>" + escape_html(kind) + "</th>";
        for (const auto op : kOps) out += "<td>" + std::to_string(count(ops, op)) + "</td>";
        out += "</tr>\n";
    }
    out += "</table>\n<p>" + std::to_string(report.decisions) +
           " decisions (dropped, rewritten, not carried) stand in decisions.csv; " +
           std::to_string(report.random_passwords) + " accounts get a random password.</p>\n";
    for (const auto& note : report.notes) out += "<p>" + escape_html(note) + "</p>\n";
    const auto list = [&](std::string_view title, std::size_t size, auto line) {
        if (size == 0) return;
        out += "<h2>" + std::string(title) + "</h2>\n<ol>\n";
        for (std::size_t i = 0; i < std::min(size, kListed); ++i) {
            out += "<li>" + escape_html(line(i)) + "</li>\n";
        }
        if (size > kListed) out += "<li>… and " + std::to_string(size - kListed) + " more</li>\n";
        out += "</ol>\n";
    };
    list("Conflicts", report.conflicts.size(),
         [&](std::size_t i) { return conflict_line(report, report.conflicts[i]); });
    list("Broken lines", report.problems.size(),
         [&](std::size_t i) { return problem_line(report, report.problems[i]); });
    return out + "</body></html>\n";
}

}  // namespace imapult::provisioning
