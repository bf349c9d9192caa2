#pragma once
// How calls and entries look in Carbonio's administration interface.

#include <set>
#include <string>
#include <string_view>

#include "provisioning/calls.h"
#include "provisioning/entry.h"
#include "provisioning/xml.h"

namespace imapult::provisioning {

inline constexpr std::string_view kAdmin = "xmlns=\"urn:zimbraAdmin\"";
inline constexpr std::string_view kAccount = "xmlns=\"urn:zimbraAccount\"";

/// An entry as the server shows it.
struct Shown {
    std::string id;
    Entry entry;  ///< attributes without a DN
    std::set<std::string> members;
};

Shown shown_of(const XmlNode& node);

/// The request that shows an entry by name, its selector, and the element of the reply.
struct GetForm {
    std::string_view request;
    std::string_view element;
    std::string_view reply;
};

GetForm get_form(Kind kind);
/// The request that makes what the call is about.
std::string_view create_request(Verb verb);

/// A call to make, with what it needs to know of the entry it comes from.
struct Step {
    Call call;
    Kind kind = Kind::account;
    std::string cos;  ///< name of the entry's class of service
};

/// Entries of one rank do not need each other; those of rank 0 are made one by one.
int rank_of(Kind kind);

}  // namespace imapult::provisioning
