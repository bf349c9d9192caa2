// The CSV files of Carbonio's documentation (three layouts of accounts, one of lists) and the
// shares that IMAP ACLs told.

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/profile.h"

namespace imapult::provisioning {
namespace {

void build_account(const ProfileContext& context, Item& item,
                   const std::vector<std::string>& fields) {
    const bool own_password = context.form == FileForm::csv_own_password;
    const std::size_t names = own_password ? 2 : 1;
    const auto field = [&](std::size_t i) { return i < fields.size() ? fields[i] : std::string(); };
    auto& entry = item.entry;
    entry.add("objectClass", "inetOrgPerson");
    entry.add("objectClass", "zimbraAccount");
    const auto given = field(names);
    const auto surname = field(names + 1);
    const auto display = field(names + 2);
    const std::string local(local_part(item.name));
    const auto joined = given.empty() || surname.empty() ? given + surname : given + " " + surname;
    entry.set("cn", !display.empty() ? display : (!joined.empty() ? joined : local));
    entry.set("sn", !surname.empty() ? surname : local);
    entry.set("givenName", given);
    entry.set("displayName", display);
    entry.set("zimbraAccountStatus", "active");
    if (own_password) entry.set("userPassword", "{CLEARTEXT}" + field(1));
    if (context.form == FileForm::csv_shared_password && context.shared_password) {
        entry.set("userPassword", "{CLEARTEXT}" + *context.shared_password);
    }
    if (context.form == FileForm::csv_recovery && !field(4).empty()) {
        const auto recovery = normal_address(field(4));
        if (recovery) {
            entry.set("zimbraFeatureResetPasswordStatus", "enabled");
            entry.set("zimbraPrefPasswordRecoveryAddress", *recovery);
            entry.set("zimbraPrefPasswordRecoveryAddressStatus", "verified");
        } else {
            item.notes.push_back({"zimbraPrefPasswordRecoveryAddress", "dropped",
                                  "the recovery address is not a mail address"});
        }
    }
}

void build_list(Item& item, const std::vector<std::string>& fields) {
    auto& entry = item.entry;
    entry.add("objectClass", "zimbraDistributionList");
    entry.add("objectClass", "zimbraMailRecipient");
    entry.set("cn", fields.size() > 2 && !fields[2].empty() ? fields[2]
                                                            : std::string(local_part(item.name)));
    entry.set("description", fields.size() > 1 ? fields[1] : std::string());
    entry.set("displayName", fields.size() > 2 ? fields[2] : std::string());
    for (std::size_t i = 3; i < fields.size(); ++i) {
        if (!fields[i].empty()) item.members.push_back({Reference::Type::address, fields[i]});
    }
}

}  // namespace

Item interpret_csv(const ProfileContext& context, Record record) {
    Item item;
    item.from_csv = true;
    item.form = context.form;
    const auto fields = record.entry.values(kCsvFields);
    if (context.form == FileForm::csv_shares) {
        // owner, folder, grantee, rights, view: checked where both accounts are known.
        item.kind = Kind::grant;
        item.shares = fields;
        return item;
    }
    item.kind = context.form == FileForm::csv_lists ? Kind::list : Kind::account;
    if (auto address = normal_address(fields.front())) {
        item.name = std::move(*address);
    } else {
        item.bad_addresses.push_back(fields.front());
        item.name.clear();
        return item;
    }
    if (item.kind == Kind::list) {
        build_list(item, fields);
    } else {
        build_account(context, item, fields);
    }
    return item;
}

}  // namespace imapult::provisioning
