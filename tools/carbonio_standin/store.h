#pragma once
// The stand-in's mailboxes: folders, calendars kept through libical, contacts as field maps. It
// behaves as Carbonio's UserServlet does: UIDs are unique in a mailbox and move, contacts are never
// compared.

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace imapult::standin {

using Fields = std::map<std::string, std::string>;

struct Limits {
    std::size_t full_parse_bytes = 131'072;
    std::size_t contact_upload_bytes = 10'240'000;
    std::size_t contacts = 10'000;
};

struct Status {
    int code = 200;
    std::string message;
};

struct Folder {
    std::string name;
    std::string view;
    std::string colour;
    std::vector<Fields> contacts;
};

struct CalendarEntry {
    std::string folder;  ///< lower-case name
    std::uint32_t sequence = 0;
    /// RECURRENCE-ID ("" = master) → component text.
    std::map<std::string, std::string> pieces;
};

struct MailboxStore {
    std::map<std::string, Folder> folders;       ///< by lower-case name
    std::map<std::string, CalendarEntry> items;  ///< by UID
    std::map<std::string, std::string> zones;

    MailboxStore();
    [[nodiscard]] std::size_t contact_count() const;
    [[nodiscard]] std::size_t count_in(const std::string& folder) const;

    /// fmt=ics. `forbidden`: UIDs that are skipped without a word.
    Status import_ics(const std::string& folder, const std::string& body,
                      std::size_t content_length, bool ignore, const Limits& limits,
                      const std::set<std::string>& forbidden);
    Status import_csv(const std::string& folder, const std::string& body, const std::string& format,
                      const Limits& limits);
    Status import_vcf(const std::string& folder, const std::string& body, const Limits& limits);
    [[nodiscard]] std::string export_ics(const std::string& folder, bool extra) const;
    [[nodiscard]] std::string export_csv(const std::string& folder, bool extra) const;
    [[nodiscard]] std::string export_vcf(const std::string& folder) const;
};

std::string lower_case(std::string text);

}  // namespace imapult::standin
