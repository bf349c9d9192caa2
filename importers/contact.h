#pragma once
// A contact as Carbonio keeps it (field name → value), whatever it came from, and its way out
// again.

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace imapult::importers {

struct Contact {
    /// Native field names of the server ("firstName", "email2", "dlist", …), values in UTF-8.
    std::map<std::string, std::string> fields;
    std::string photo;       ///< decoded; empty: none
    std::string photo_type;  ///< "JPEG", "PNG", "GIF"
    std::size_t line = 0;
    std::string raw;  ///< row or card as it stands in the file
    std::vector<std::string> repairs;

    /// Sets the field, or the next free one of its kind (email, email2, email3), or adds to the
    /// notes.
    void put(std::string_view field, std::string_view value, std::string_view label = {});
    void add_note(std::string_view label, std::string_view value);
};

struct ContactRefusal {
    std::size_t line = 0;
    std::string uid;
    std::string reason;
    std::string raw;
};

/// All contacts of one file.
struct ContactFile {
    std::string path;
    std::string dialect;  ///< "Thunderbird", "vCard 3.0", …
    std::string charset;
    std::string raw_header;  ///< CSV only
    char separator = ',';
    std::string name;  ///< X-WR-CALNAME's like: none in CSV
    std::vector<Contact> contacts;
    std::vector<ContactRefusal> refused;
    std::vector<std::string> repairs;  ///< of the whole file
    std::vector<std::string> notes;    ///< columns put into notes, …
};

/// Errors: io, limit, invalid_input.
Result<ContactFile> read_contact_file(const std::string& path);
Result<ContactFile> read_csv_contacts(std::string bytes);
Result<ContactFile> read_vcards(std::string bytes);

/// True for the server's own (native) field names, numbered ones included.
bool is_native_field(std::string_view name);

/// Fields with white space and case evened out, as contacts are compared: e-mails in lower case.
std::map<std::string, std::string> normalised(const std::map<std::string, std::string>& fields);
/// 32 octets over the normalised fields and the photo.
std::string contact_digest(const Contact& contact);
/// What a person would call it.
std::string contact_name(const Contact& contact);

/// Native CSV, header first, UTF-8 with BOM, everything quoted.
std::string write_contacts_csv(const std::vector<const Contact*>& contacts);
/// vCard 3.0 of one contact, photo included.
std::string write_vcard(const Contact& contact);

/// "31.01.1980", "1/31/1980", "19800131" … → "1980-01-31"; anything else as it is; no date at all →
/// "".
std::string normalise_date(std::string_view text, bool month_first);

}  // namespace imapult::importers
