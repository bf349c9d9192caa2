#include "provisioning/soap_forms.h"

#include "engine/base/text.h"

namespace imapult::provisioning {

Shown shown_of(const XmlNode& node) {
    Shown shown;
    shown.id = node.attribute("id");
    for (const auto& child : node.children) {
        if (child.name == "a") {
            shown.entry.add(child.attribute("n"), child.text);
        } else if (child.name == "dlm") {
            shown.members.insert(to_lower(child.text));
        } else if (child.name == "id" && shown.id.empty()) {
            shown.id = child.text;
        }
    }
    return shown;
}

GetForm get_form(Kind kind) {
    switch (kind) {
        case Kind::cos:
            return {"GetCosRequest", "cos", "cos"};
        case Kind::domain:
            return {"GetDomainRequest", "domain", "domain"};
        case Kind::resource:
            return {"GetCalendarResourceRequest", "calresource", "calresource"};
        case Kind::list:
        case Kind::dynamic_group:
            return {"GetDistributionListRequest", "dl", "dl"};
        default:
            return {"GetAccountRequest", "account", "account"};
    }
}

std::string_view create_request(Verb verb) {
    switch (verb) {
        case Verb::create_cos:
            return "CreateCosRequest";
        case Verb::create_domain:
        case Verb::create_alias_domain:
            return "CreateDomainRequest";
        case Verb::create_resource:
            return "CreateCalendarResourceRequest";
        case Verb::create_list:
        case Verb::create_group:
            return "CreateDistributionListRequest";
        default:
            return "CreateAccountRequest";
    }
}

int rank_of(Kind kind) {
    switch (kind) {
        case Kind::account:
        case Kind::resource:
            return 1;
        case Kind::signature:
        case Kind::identity:
        case Kind::data_source:
            return 2;
        case Kind::list:
            return 3;
        case Kind::dynamic_group:
            return 4;
        default:
            return 0;
    }
}

}  // namespace imapult::provisioning
