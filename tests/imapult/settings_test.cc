#include "tools/imapult/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"

namespace imapult::program {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class SettingsTest : public ::testing::Test {
  protected:
    SettingsTest() {
        arguments_.state_dir = folder_.path("state");
        arguments_.source.url = "imaps://alice@old.example.com";
        arguments_.source.password.file = folder_.write("source", "hunter2\nsecond line\n");
        arguments_.destination.url = "imaps://alice%40example.com@new.example.com:1993";
        arguments_.destination.password.file = folder_.write("destination", "hunter3\r\n");
    }

    Settings good(Verb verb = Verb::copy, const Prompt& prompt = {}) {
        auto settings = prepare(verb, arguments_, prompt);
        if (!settings) ADD_FAILURE() << settings.error().front();
        return settings.value_or(Settings{});
    }
    std::vector<std::string> bad(Verb verb = Verb::copy, const Prompt& prompt = {}) {
        auto settings = prepare(verb, arguments_, prompt);
        EXPECT_FALSE(settings.has_value());
        if (settings) return {};
        EXPECT_THAT(settings.error(), Each(Not(HasSubstr("hunter"))));
        return settings.error();
    }
    void with_accounts(std::string_view text) {
        arguments_.accounts_file = folder_.write("accounts.csv", text);
        arguments_.source.url = "imap://old.example.com:1143";
        arguments_.destination.url = "imaps://new.example.com";
        arguments_.source.password = {};
        arguments_.destination.password = {};
    }
    static std::string reveal(const EndpointSpec& spec) {
        const auto secret = spec.secret.fetch();
        return secret ? std::string(secret->reveal()) : "error: " + secret.error().text;
    }

    TemporaryFolder folder_;
    DataArguments arguments_;
};

TEST_F(SettingsTest, OneAccount) {
    arguments_.map = {"Sent Items=Sent", "a\\=b=c"};
    arguments_.bytes_per_second_max = "1.5M";
    const Settings settings = good();
    ASSERT_EQ(settings.options.accounts.size(), 1U);
    const auto& account = settings.options.accounts[0];
    EXPECT_EQ(account.name, "alice");
    EXPECT_EQ(account.source.host, "old.example.com");
    EXPECT_EQ(account.source.port, 993);
    EXPECT_EQ(reveal(account.source), "hunter2");
    EXPECT_EQ(account.destination.user, "alice@example.com");
    EXPECT_EQ(account.destination.port, 1993);
    EXPECT_EQ(reveal(account.destination), "hunter3");
    EXPECT_EQ(settings.options.state_dir, folder_.path("state"));
    ASSERT_EQ(settings.options.map.size(), 2U);
    EXPECT_EQ(settings.options.map[0].source, "Sent Items");
    EXPECT_EQ(settings.options.map[1].source, "a=b");
    EXPECT_EQ(settings.options.map[1].destination, "c");
    EXPECT_EQ(settings.options.bytes_per_second_max, 1572864U);
    EXPECT_THAT(settings.warnings, IsEmpty());
}

TEST_F(SettingsTest, WarnsAboutPasswordFilesThatOthersCanRead) {
    folder_.write("source", "hunter2\n", 0640);
    EXPECT_THAT(good().warnings, ElementsAre(HasSubstr("chmod 600")));
}

TEST_F(SettingsTest, TakesExactlyOneSecret) {
    arguments_.source.password.environment = "SOME_NAME";
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("exactly one of")));
    arguments_.source.password = {};
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("no terminal to ask on")));
}

TEST_F(SettingsTest, AsksForWhatIsMissing) {
    arguments_.source.password = {};
    std::vector<std::string> questions;
    const Prompt prompt = [&](const std::string& question) -> Result<Secret> {
        questions.push_back(question);
        return Secret("typed");
    };
    EXPECT_EQ(reveal(good(Verb::copy, prompt).options.accounts.at(0).source), "typed");
    EXPECT_THAT(questions, ElementsAre("Password of alice at the source old.example.com"));
}

TEST_F(SettingsTest, SecretsFromEnvironmentAndCommand) {
    ASSERT_EQ(setenv("IMAPULT_TEST_SECRET", "from the environment", 1), 0);
    arguments_.source.password = {.environment = "IMAPULT_TEST_SECRET"};
    arguments_.destination.password = {.command = "printf 'from a command\\nnot this'"};
    const Settings settings = good();
    EXPECT_EQ(reveal(settings.options.accounts.at(0).source), "from the environment");
    EXPECT_EQ(reveal(settings.options.accounts.at(0).destination), "from a command");
    unsetenv("IMAPULT_TEST_SECRET");
}

TEST_F(SettingsTest, SecretsThatCannotBeHad) {
    unsetenv("IMAPULT_TEST_SECRET");
    for (const SecretArguments& secret :
         {SecretArguments{.environment = "IMAPULT_TEST_SECRET"},
          SecretArguments{.file = folder_.path("missing")}, SecretArguments{.file = folder_.path()},
          SecretArguments{.file = folder_.write("empty", "\nhunter2\n")},
          SecretArguments{.command = "echo hunter2; exit 3"}, SecretArguments{.command = "true"},
          SecretArguments{.command = "kill $$"}}) {
        arguments_.source.password = secret;
        EXPECT_EQ(bad().size(), 1U);
    }
}

TEST_F(SettingsTest, TokensAreAskedForAgain) {
    arguments_.source.password = {};
    arguments_.source.token.command =
        "echo x >> " + folder_.path("count") + "; wc -l < " + folder_.path("count");
    const Settings settings = good();
    const EndpointSpec& source = settings.options.accounts.at(0).source;
    EXPECT_EQ(source.auth, AuthMechanism::xoauth2);
    EXPECT_EQ(reveal(source), "1");
    EXPECT_EQ(reveal(source), "2");
}

TEST_F(SettingsTest, MechanismAndSecretMustFit) {
    arguments_.source.auth = AuthMechanism::oauthbearer;
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("needs a token")));
    arguments_.source.auth = AuthMechanism::plain;
    arguments_.source.password = {};
    arguments_.source.token.environment = "PATH";
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("a token goes with")));
}

TEST_F(SettingsTest, AdministratorsNeedAnAuthorizationIdentity) {
    arguments_.source.admin = "root";
    EXPECT_EQ(good().options.accounts.at(0).source.admin, "root");
    arguments_.source.auth = AuthMechanism::login;
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("cannot act as another user")));
}

TEST_F(SettingsTest, ClearTextOnlyToThisMachine) {
    arguments_.source.url = "imap://alice@old.example.com?tls=off";
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("--allow-cleartext")));
    arguments_.allow_cleartext = true;
    EXPECT_EQ(good().options.accounts.at(0).source.tls, TlsMode::off);
    arguments_.allow_cleartext = false;
    arguments_.source.url = "imap://alice@[::1]:1143?tls=off";
    EXPECT_EQ(good().options.accounts.at(0).source.port, 1143);
}

TEST_F(SettingsTest, Fingerprints) {
    std::string colons = "AB";
    for (int i = 1; i < 32; ++i) colons += ":AB";
    arguments_.source.fingerprint = colons;
    EXPECT_EQ(good().options.accounts.at(0).source.fingerprint_sha256.substr(0, 6), "ababab");
    arguments_.source.insecure = true;
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("contradicts")));
    arguments_.source.insecure = false;
    arguments_.source.fingerprint = "abc";
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("64 hex digits")));
}

TEST_F(SettingsTest, RefusesAnAccountOntoItself) {
    arguments_.destination.url = "imaps://Alice@OLD.example.com";
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("same account")));
}

TEST_F(SettingsTest, NamesWhatIsMissing) {
    arguments_.destination.url.clear();
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("--destination URL")));
    arguments_.destination.url = "imaps://new.example.com";
    arguments_.source.url = "imaps://old.example.com";
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("user is missing")));
    arguments_.source.user = "alice";
    EXPECT_EQ(good().options.accounts.at(0).destination.user, "alice");
}

TEST_F(SettingsTest, RefusesBadMapsAndPatterns) {
    arguments_.map = {"a", "=b", "a=", "/a=b", "a=b/", "a//b=c"};
    EXPECT_EQ(bad().size(), 6U);
    arguments_.map = {"a=b", "a=c"};
    EXPECT_THAT(bad(), ElementsAre(HasSubstr("mapped twice")));
    arguments_.map.clear();
    arguments_.include = {""};
    arguments_.exclude = {"\xFF"};
    EXPECT_EQ(bad().size(), 2U);
}

TEST_F(SettingsTest, AccountsFileWithPasswords) {
    with_accounts(
        "source_user,source_password,destination_password,source_url\n"
        "alice,one,two,\nbob,three,four,imaps://other.example.com\n");
    const Settings settings = good(Verb::migrate);
    ASSERT_EQ(settings.options.accounts.size(), 2U);
    EXPECT_EQ(settings.options.accounts[0].source.url(), "imap://old.example.com:1143");
    EXPECT_EQ(reveal(settings.options.accounts[0].source), "one");
    EXPECT_EQ(settings.options.accounts[1].source.url(), "imaps://other.example.com:993");
    EXPECT_EQ(reveal(settings.options.accounts[1].destination), "four");
}

TEST_F(SettingsTest, AddressListWithAdministrators) {
    with_accounts("alice@example.com\nbob@example.com\n");
    for (SideArguments* side : {&arguments_.source, &arguments_.destination}) {
        side->admin = "root";
        side->password.file = folder_.write("root", "hunter2\n");
    }
    const Settings settings = good(Verb::migrate);
    ASSERT_EQ(settings.options.accounts.size(), 2U);
    EXPECT_EQ(settings.options.accounts[1].destination.admin, "root");
    EXPECT_EQ(settings.options.accounts[1].destination.user, "bob@example.com");
}

TEST_F(SettingsTest, ARowsOwnPasswordGoesBeforeTheAdministrator) {
    with_accounts("source_user,source_password,destination_password\nalice,one,two\n");
    arguments_.source.admin = "root";
    arguments_.source.password.file = folder_.write("root", "hunter2\n");
    const Settings settings = good(Verb::migrate);
    EXPECT_EQ(settings.options.accounts.at(0).source.admin, "");
    EXPECT_EQ(reveal(settings.options.accounts.at(0).source), "one");
}

TEST_F(SettingsTest, HostOfARowWithPortAndTlsOfTheCommandLine) {
    with_accounts("other.example.com;alice;one;new.example.com;alice;two;\n");
    const Settings settings = good(Verb::migrate);
    EXPECT_EQ(settings.options.accounts.at(0).source.url(), "imap://other.example.com:1143");
}

TEST_F(SettingsTest, TellsRowsWithoutPassword) {
    with_accounts("source_user,source_password,destination_password\nalice,one,\nbob,,two\n");
    EXPECT_THAT(bad(Verb::migrate),
                ElementsAre(HasSubstr("accounts.csv:2: there is no destination"),
                            HasSubstr("accounts.csv:3: there is no source")));
}

TEST_F(SettingsTest, UsersDoNotStandInUrlsBesideAFile) {
    with_accounts("alice@example.com\n");
    arguments_.source.url = "imaps://root@old.example.com";
    EXPECT_THAT(bad(Verb::migrate), Contains(HasSubstr("--source-admin")));
}

TEST_F(SettingsTest, SameUserOnTwoServersGetsTwoNames) {
    with_accounts(
        "source_user,source_password,destination_password,source_url,destination_user\n"
        "alice,one,two,imaps://a.example.com,x\nalice,one,two,imaps://b.example.com,y\n");
    const Settings settings = good(Verb::migrate);
    EXPECT_EQ(settings.options.accounts.at(0).name, "alice@a.example.com:993");
    EXPECT_EQ(settings.options.accounts.at(1).name, "alice@b.example.com:993");
}

TEST(Duration, Units) {
    using namespace std::chrono_literals;
    EXPECT_EQ(*parse_duration("0"), 0s);
    EXPECT_EQ(*parse_duration("90"), 90s);
    EXPECT_EQ(*parse_duration("90s"), 90s);
    EXPECT_EQ(*parse_duration("20m"), 20min);
    EXPECT_EQ(*parse_duration("12h"), 12h);
    EXPECT_EQ(*parse_duration("2d"), 48h);
    for (const char* bad : {"", "h", "1w", "-1s", "1.5h", "99999999999999999999", "400d"}) {
        EXPECT_FALSE(parse_duration(bad)) << bad;
    }
}

TEST_F(SettingsTest, NamespacesAreAListAndPersonalUnlessNamed) {
    EXPECT_TRUE(good().options.spaces.personal);
    EXPECT_FALSE(good().options.spaces.shared);
    EXPECT_EQ(good().options.rights, campaign::RightsPolicy::automatic);
    arguments_.namespaces = {"personal, shared", "other"};
    const Settings all = good();
    EXPECT_TRUE(all.options.spaces.personal && all.options.spaces.shared &&
                all.options.spaces.other);
    arguments_.namespaces = {"shared"};
    EXPECT_FALSE(good().options.spaces.personal);
    for (const char* wrong : {"", "public", "personal,,other", "personal,"}) {
        arguments_.namespaces = {wrong};
        if (std::string_view(wrong) == "personal,") continue;  // a comma too many says nothing else
        EXPECT_THAT(bad(), Contains(HasSubstr("--namespaces: one or more of personal"))) << wrong;
    }
}

TEST(ByteCount, Units) {
    EXPECT_EQ(*parse_byte_count("0"), 0U);
    EXPECT_EQ(*parse_byte_count("1500"), 1500U);
    EXPECT_EQ(*parse_byte_count("10k"), 10240U);
    EXPECT_EQ(*parse_byte_count("1.5M"), 1572864U);
    EXPECT_EQ(*parse_byte_count("2G"), 2147483648U);
    for (const char* text :
         {"", "k", "-1", "1x", "1.2.3", "1e9", "99999999999999999999G", ".", "1."}) {
        EXPECT_FALSE(parse_byte_count(text).has_value()) << text;
    }
}

TEST(StateFolder, Defaults) {
    ASSERT_EQ(setenv("XDG_STATE_HOME", "/var/lib/someone", 1), 0);
    EXPECT_EQ(*state_folder(""), "/var/lib/someone/imapult");
    unsetenv("XDG_STATE_HOME");
    ASSERT_EQ(setenv("HOME", "/home/someone", 1), 0);
    EXPECT_EQ(*state_folder(""), "/home/someone/.local/state/imapult");
    EXPECT_EQ(*state_folder("/a/../b"), "/b");
}

TEST_F(SettingsTest, DeletionsAreOffUnlessAskedForAndThenLimited) {
    EXPECT_FALSE(good().options.remove.mirror);
    arguments_.delete_mirror = true;
    const campaign::DeletePolicy usual = good().options.remove;
    EXPECT_TRUE(usual.mirror);
    EXPECT_EQ(usual.percent_max, 10U);
    EXPECT_EQ(usual.messages_max, 1000U);
    arguments_.delete_limit = "25 %, 40";
    arguments_.delete_to = "Trash/Old";
    EXPECT_EQ(good().options.remove.percent_max, 25U);
    EXPECT_EQ(good().options.remove.messages_max, 40U);
    EXPECT_EQ(good().options.remove.to, "Trash/Old");
}

TEST_F(SettingsTest, ALimitThatIsNotNamedIsNone) {
    arguments_.delete_mirror = true;
    arguments_.delete_limit = "5000";
    EXPECT_EQ(good().options.remove.percent_max, std::nullopt);
    EXPECT_EQ(good().options.remove.messages_max, 5000U);
    arguments_.delete_limit = "100%";
    EXPECT_EQ(good().options.remove.percent_max, 100U);
    EXPECT_EQ(good().options.remove.messages_max, std::nullopt);
}

TEST_F(SettingsTest, ADeleteLimitIsUnderstoodOrRefused) {
    arguments_.delete_mirror = true;
    for (const char* text : {"101%", "ten", "-1", "5,5", "5%,5%", "%", "5;6", ",", "10%,"}) {
        arguments_.delete_limit = text;
        EXPECT_THAT(bad(), Contains(HasSubstr("--delete-limit"))) << text;
    }
    arguments_.delete_limit = "10%";
    arguments_.delete_mirror = false;
    EXPECT_THAT(bad(), Contains(HasSubstr("--delete mirror")));
}

}  // namespace
}  // namespace imapult::program
