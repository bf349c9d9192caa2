#include "engine/replica/rights_text.h"

#include <gtest/gtest.h>

#include "engine/replica/people.h"
#include "engine/replica/spaces.h"

namespace imapult::replica {
namespace {

using Kind = Grantee::Kind;
using Letters = Dialect::Letters;

TEST(Rights, ObsoleteLettersBecomeWhatTheyStoodFor) {
    EXPECT_EQ(plain_rights("lrswipcda"), "lrswipkxtea");
    EXPECT_EQ(plain_rights("lrswipkxtecdan"), "lrswipkxtea");  // Cyrus says both
    EXPECT_EQ(plain_rights("lrswtd"), "lrswt");                // d repeats a part of it
    EXPECT_EQ(plain_rights("0l9"), "l");
}

TEST(Rights, NoDialectSaysMoreThanTheSource) {
    EXPECT_EQ(write_rights("lrswipkxtea", Letters::rfc4314), "lrswipkxtea");
    EXPECT_EQ(write_rights("lrswipkxtea", Letters::rfc2086), "lrswipacd");
    EXPECT_EQ(write_rights("lrkt", Letters::rfc2086), "lr");
    EXPECT_EQ(write_rights("lrswipkxtea", Letters::courier), "lrswicxtea");
    EXPECT_EQ(write_rights("lrs", Letters::zimbra), "lr");  // sw would let flags be set
    EXPECT_EQ(write_rights("lrswi", Letters::zimbra), "lrswick");
    EXPECT_EQ(write_rights("lrt", Letters::zimbra), "lr");
    EXPECT_EQ(write_rights("lrswipkxtea", Letters::zimbra), "lrswickxteda");
    EXPECT_EQ(write_rights("lsp", Letters::zimbra), "");
    EXPECT_EQ(carbonio_perms("lrswipkxtea"), "rwida");
}

TEST(Rights, IdentifiersOfAllServersAreUnderstood) {
    EXPECT_EQ(parse_identifier("bob@example.com"), (Grantee{Kind::user, "bob@example.com", false}));
    EXPECT_EQ(parse_identifier("user=bob"), (Grantee{Kind::user, "bob", false}));
    EXPECT_EQ(parse_identifier("-bob"), (Grantee{Kind::user, "bob", true}));
    for (const char* group : {"$staff", "group:staff", "group=staff"})
        EXPECT_EQ(parse_identifier(group), (Grantee{Kind::group, "staff", false})) << group;
    EXPECT_EQ(parse_identifier("Anyone").kind, Kind::anyone);
    EXPECT_EQ(parse_identifier("owner").kind, Kind::server);
    EXPECT_EQ(parse_identifier("#anyone").kind, Kind::server);  // Dovecot's configuration
}

TEST(Rights, IdentifiersAreWrittenAsTheDestinationReadsThem) {
    const Grantee group = parse_identifier("$staff");
    const auto in = [&](Dialect::Groups groups) {
        return write_identifier(group, "$staff", {Letters::rfc4314, groups});
    };
    EXPECT_EQ(in(Dialect::Groups::as_sent), "$staff");
    EXPECT_EQ(in(Dialect::Groups::colon), "group:staff");
    const Dialect carbonio{Letters::zimbra, Dialect::Groups::as_sent};
    EXPECT_EQ(write_identifier(parse_identifier("-bob"), "-bob", carbonio), std::nullopt);
    EXPECT_EQ(write_identifier(parse_identifier("-bob"), "-bob", {}), "-bob");
}

TEST(Rights, CarbonioLinesGrantAndShowTheFolder) {
    const CarbonioLines user = carbonio_lines("alice@example.com", {"INBOX", "Big \"deal\""},
                                              {Kind::user, "bob@example.com", false}, "rw");
    EXPECT_EQ(user.grant,
              "sm \"alice@example.com\" mfg \"/Inbox/Big \\\"deal\\\"\" account "
              "\"bob@example.com\" rw");
    EXPECT_EQ(user.mount,
              "sm \"bob@example.com\" cm --view message \"/Big \\\"deal\\\" of alice\" "
              "\"alice@example.com\" \"/Inbox/Big \\\"deal\\\"\"");
    const CarbonioLines all =
        carbonio_lines("alice@example.com", {"Work"}, {Kind::anyone, "", false}, "r");
    EXPECT_EQ(all.grant, "sm \"alice@example.com\" mfg \"/Work\" all r");
    EXPECT_EQ(all.mount, "");
    EXPECT_EQ(carbonio_lines("a", {"Work"}, {Kind::user, "bob", true}, "r").grant, "");
    EXPECT_EQ(carbonio_lines("a", {"Work"}, {Kind::user, "bob", false}, "").grant, "");
}

TEST(Rights, ChangesSinceTheLastPassAndTheirTextAgree) {
    const Acl before{{"anyone", "lr"}, {"bob", "lrsw"}, {"carol of sales", "l"}};
    EXPECT_EQ(acl_of_text(to_text(before)), before);
    const Acl now{{"anyone", "lr"}, {"bob", "lrt"}, {"dave", "lr"}};
    const auto found = changes(before, now);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].identifier, "bob");
    EXPECT_EQ(found[0].before, "lrsw");
    EXPECT_EQ(found[0].now, "lrt");
    EXPECT_EQ(found[1].identifier, "carol of sales");
    EXPECT_EQ(found[1].now, "");
    EXPECT_EQ(found[2].identifier, "dave");
}

TEST(People, AreFoundByWholeNameOrByAnUnmistakableLocalPart) {
    People people;
    people.add("alice@old.example.com", "alice@example.com");
    people.add("bob@old.example.com", "robert@example.com");
    people.add("bob@other.example.com", "bob2@example.com");
    EXPECT_EQ(people.find("ALICE@old.example.com"), "alice@example.com");
    EXPECT_EQ(people.find("alice"), "alice@example.com");
    EXPECT_EQ(people.find("alice@elsewhere.example.com"), std::nullopt);
    EXPECT_EQ(people.find("bob"), std::nullopt);
    EXPECT_EQ(people.find("bob@other.example.com"), "bob2@example.com");
}

TEST(People, OthersAreTreatedLikeTheAccountsOwnName) {
    const Translation with{nullptr, "alice", "alice@example.com"};
    EXPECT_EQ(with.of("bob"), "bob@example.com");
    EXPECT_EQ(with.of("bob@partner.example.com"), "bob@partner.example.com");
    const Translation without{nullptr, "alice@example.com", "alice"};
    EXPECT_EQ(without.of("bob@example.com"), "bob");
    EXPECT_EQ(without.of("bob@partner.example.com"), "bob@partner.example.com");
    const Translation moved{nullptr, "alice@old.example.com", "alice@example.com"};
    EXPECT_EQ(moved.of("bob@old.example.com"), "bob@example.com");
    EXPECT_TRUE(moved.is_self("alice"));
    EXPECT_FALSE(moved.is_self("alice@other.example.com"));
}

SpaceMap spaces(std::string_view other, std::string_view shared, std::string_view own = "") {
    imap::Namespaces told;
    told.personal = {{std::string(own), '/'}};
    told.other_users = {{std::string(other), '/'}};
    told.shared = {{std::string(shared), '/'}};
    return SpaceMap(told);
}

TEST(Spaces, TheLongestPrefixCounts) {
    const SpaceMap dovecot = spaces("shared/", "Public/");
    EXPECT_EQ(dovecot.space_of("INBOX"), Space::personal);
    EXPECT_EQ(dovecot.space_of("sharedness"), Space::personal);
    EXPECT_EQ(dovecot.space_of("shared/bob/Work"), Space::other);
    EXPECT_EQ(dovecot.space_of("shared"), Space::other);
    EXPECT_EQ(dovecot.space_of("Public/News"), Space::shared);
    // Cyrus without altnamespace: what has no prefix is shared.
    const SpaceMap cyrus = spaces("user/", "", "INBOX/");
    EXPECT_EQ(cyrus.space_of("inbox"), Space::personal);
    EXPECT_EQ(cyrus.space_of("INBOX/Work"), Space::personal);
    EXPECT_EQ(cyrus.space_of("user/bob"), Space::other);
    EXPECT_EQ(cyrus.space_of("News"), Space::shared);
    // Both without a prefix: nobody can tell, so they are the account's own.
    EXPECT_EQ(spaces("user/", "", "").space_of("News"), Space::personal);
}

TEST(Spaces, PathsBeginWithTheNamespace) {
    const ForeignPath other =
        foreign_path("Other Users/bob/W&APY-rk", {Space::other, "Other Users/", '/'});
    EXPECT_EQ(other.path, (std::vector<std::string>{"Other Users", "bob", "Wörk"}));
    EXPECT_EQ(other.root, 1U);
    EXPECT_EQ(foreign_path("News", {Space::shared, "", '/'}).path,
              (std::vector<std::string>{"Shared", "News"}));
    const ForeignPath root = foreign_path("#shared", {Space::shared, "#shared.", '.'});
    EXPECT_EQ(root.path.size(), root.root);
}

}  // namespace
}  // namespace imapult::replica
