// The proof's construction, held by values computed with another program (sha256sum), and its file.

#include "dedup/proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "dedup/sha256.h"
#include "imapult/temporary.h"
#include "tools/imapult/proof_file.h"
#include "tools/imapult/settings.h"

namespace imapult {
namespace {

using namespace dedup;
using testing::HasSubstr;

std::string hex(const Sha256& hash) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t octet : hash) {
        text += kDigits[octet >> 4];
        text += kDigits[octet & 15];
    }
    return text;
}

Sha256 sha256(std::string_view text) {
    Sha256Stream stream;
    stream.update(text);
    return stream.finish();
}

// Made by Python's hashlib from the construction in dedup/proof.h.
constexpr const char* kContent = "e1722d052d3502de92d1d1e4a00add06c779a6a378eba445308bdd3cdba3cafb";
constexpr const char* kLeaf = "4e90c5dc00932fda4c496bcc55cc3d0fab250b7cdecbf823925e9c0323578af5";
constexpr const char* kLeafWithoutDate =
    "5b44588f47eed522b589a381ebd9055d62890c84e13ffc9239bffb04bee309a3";
constexpr const char* kMailboxLeaf =
    "9ca6a3c29cbc596046b8e1394bb05234b5e56b2b279e9e15c66642d9251a1617";
constexpr const char* kRootOfNone =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kRootOfThree =
    "0fb0c89f31831c334e4cdeb69ed2245bb59715219c8b7a86f0ddcf93cb1a9c8b";
constexpr const char* kRootOfFive =
    "e1cd4affe5df9e79f17fac083bae4f2dc230bc714c06db2f6d6cd490da6feea9";

TEST(Proof, HashesAreWhatTheDocumentSays) {
    const Sha256 content = content_hash("<a@example.com>", sha256("message"));
    EXPECT_EQ(hex(content), kContent);
    EXPECT_EQ(hex(message_leaf(content, 1'700'000'000, "$junk \\seen")), kLeaf);
    EXPECT_EQ(hex(message_leaf(content, kNoDate, "")), kLeafWithoutDate);
    EXPECT_EQ(hex(mailbox_leaf("Arch\xC3\xADv", 3, sha256("root"))), kMailboxLeaf);
}

TEST(Proof, RootsAreThoseOfRfc6962OverSortedLeaves) {
    EXPECT_EQ(hex(merkle_root({})), kRootOfNone);
    EXPECT_EQ(hex(merkle_root({sha256("0")})), hex(sha256("0")));
    EXPECT_EQ(hex(merkle_root({sha256("0"), sha256("1"), sha256("2")})), kRootOfThree);
    EXPECT_EQ(hex(merkle_root({sha256("2"), sha256("0"), sha256("1")})), kRootOfThree);
    EXPECT_EQ(hex(merkle_root({sha256("0"), sha256("1"), sha256("2"), sha256("3"), sha256("4")})),
              kRootOfFive);
    EXPECT_NE(hex(merkle_root({sha256("0"), sha256("0")})), hex(merkle_root({sha256("0")})));
}

TEST(Proof, FlagsAreOneText) {
    EXPECT_EQ(proof_flags({"\\Seen", "$Forwarded", "\\Recent", "\\Answered", "\\SEEN"}),
              "$forwarded \\answered \\seen");
    EXPECT_EQ(proof_flags({"\\Recent"}), "");
}

TEST(MessageIdFinder, FindsItHoweverItIsCut) {
    const std::string message =
        "Received: by example.com\r\n\twith Message-ID: <no@example.com>\r\n"
        "message-id :\r\n <a\r\n b@example.com> \r\nMessage-ID: <second@example.com>\r\n\r\n"
        "Message-ID: <body@example.com>\r\n";
    for (std::size_t cut = 0; cut <= message.size(); ++cut) {
        MessageIdFinder finder;
        finder.update(std::string_view(message).substr(0, cut));
        finder.update(std::string_view(message).substr(cut));
        EXPECT_EQ(finder.finish(), "<a b@example.com>") << cut;
    }
}

TEST(MessageIdFinder, NoneInTheBodyOrNowhere) {
    MessageIdFinder finder;
    finder.update("Subject: a\n\nMessage-ID: <body@example.com>\n");
    EXPECT_EQ(finder.finish(), "");
    EXPECT_EQ(MessageIdFinder().finish(), "");
    MessageIdFinder last;
    last.update("Message-ID: <end@example.com>");
    EXPECT_EQ(last.finish(), "<end@example.com>");
}

// --- the file -----------------------------------------------------------------------------------

program::Proofs sample() {
    auto account = std::make_shared<AccountProof>();
    account->account = "alice";
    account->destination_user = "alice@example.com";
    MailboxProof box;
    box.mailbox = "Entw\xC3\xBCrfe/\"1\"";
    box.destination = "raw \xFF";
    box.uid_validity = 4'294'967'295;
    box.flags = {"", "\\seen"};
    box.messages.push_back({1, 1, 1'700'000'000, sha256("one")});
    box.messages.push_back({4'294'967'295, 0, kNoDate, sha256("two")});
    box.messages.push_back({7, 0, -5, sha256("three")});
    box.source_messages = 4;
    box.root = root_of(box);
    box.source_root = sha256("source");
    account->mailboxes.push_back(box);
    account->root = root_of(*account);
    account->source_root = sha256("account");
    return {account};
}

TEST(ProofFile, IsReadAsItWasWritten) {
    const auto before = sample();
    const auto after = program::parse_proof(program::proof_text(before, 1'700'000'000));
    ASSERT_TRUE(after) << after.error().text;
    ASSERT_EQ(after->size(), 1U);
    const AccountProof &a = *before[0], &b = *(*after)[0];
    EXPECT_EQ(b.account, a.account);
    EXPECT_EQ(b.destination_user, a.destination_user);
    EXPECT_EQ(b.root, a.root);
    EXPECT_EQ(b.source_root, a.source_root);
    const MailboxProof &x = a.mailboxes[0], &y = b.mailboxes[0];
    EXPECT_EQ(y.mailbox, x.mailbox);
    EXPECT_EQ(y.destination, x.destination);
    EXPECT_EQ(y.uid_validity, x.uid_validity);
    EXPECT_EQ(y.source_messages, 4U);
    EXPECT_EQ(y.source_root, x.source_root);
    ASSERT_EQ(y.messages.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(y.messages[i].uid, x.messages[i].uid);
        EXPECT_EQ(y.messages[i].date, x.messages[i].date);
        EXPECT_EQ(y.flags[y.messages[i].flags], x.flags[x.messages[i].flags]);
        EXPECT_EQ(y.messages[i].content, x.messages[i].content);
    }
}

TEST(ProofFile, HasNoSourceRootWhereTheSourceDidNotHandOutAll) {
    AccountProof account = *sample()[0];
    MailboxProof whole;
    whole.mailbox = "whole";
    whole.root = root_of(whole);
    whole.source_root = merkle_root({});
    account.mailboxes.push_back(whole);
    EXPECT_TRUE(source_root_of(account));
    account.mailboxes[0].source_root.reset();
    EXPECT_FALSE(source_root_of(account));
    account.source_root.reset();
    account.root = root_of(account);
    const auto text = program::proof_text({std::make_shared<AccountProof>(account)}, 0);
    const auto after = program::parse_proof(text);
    ASSERT_TRUE(after) << after.error().text;
    EXPECT_FALSE((*after)[0]->source_root);
    EXPECT_FALSE((*after)[0]->mailboxes[0].source_root);
    EXPECT_EQ((*after)[0]->mailboxes[1].source_root, whole.source_root);
}

std::string error_of(const std::string& text) {
    const auto proofs = program::parse_proof(text);
    return proofs ? "no error" : proofs.error().text;
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
}

TEST(ProofFile, SaysWhatIsWrong) {
    const std::string good = program::proof_text(sample(), 0);
    EXPECT_THAT(error_of(""), HasSubstr("damaged"));
    EXPECT_THAT(error_of("[1]"), HasSubstr("no proof"));
    EXPECT_THAT(error_of("{\"imapult\": \"0.1.0\"}"), HasSubstr("no proof"));
    EXPECT_THAT(error_of(good.substr(0, good.size() / 2)), HasSubstr("damaged"));
    EXPECT_THAT(error_of(replaced(good, "\"imapult_proof\": 1", "\"imapult_proof\": 2")),
                HasSubstr("version 2"));
    EXPECT_THAT(error_of(replaced(good, "rfc6962", "rfc9999")), HasSubstr("algorithm"));
    EXPECT_THAT(error_of(replaced(good, "1700000000 1 ", "1700000001 1 ")),
                HasSubstr("do not give its root"));
    EXPECT_THAT(error_of(replaced(good, "\\\\seen", "\\\\deleted")),
                HasSubstr("do not give its root"));
    EXPECT_THAT(error_of(replaced(good, "1700000000 1 ", "1700000000 2 ")),
                HasSubstr("not listed"));
    EXPECT_THAT(error_of(replaced(good, "\"messages\":3", "\"messages\":2")),
                HasSubstr("more or fewer"));
    EXPECT_THAT(error_of(replaced(good, "Entw", "entw")), HasSubstr("account alice"));
    EXPECT_THAT(error_of(replaced(good, "\"uid_validity\":4294967295", "\"uid_validity\":-1")),
                HasSubstr("number"));
}

/// Whatever one octet becomes, the proof is refused or stands for the same roots.
TEST(ProofFile, NoChangedOctetPassesForAnotherMessage) {
    const std::string good = program::proof_text(sample(), 0);
    const auto root = sample()[0]->root;
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        const auto proofs = program::parse_proof(bad);
        if (!proofs || proofs->empty()) continue;
        EXPECT_EQ((*proofs)[0]->root, root) << i;
    }
}

// --- whom `verify --against` looks at -----------------------------------------------------------

class Against : public testing::Test {
  protected:
    Against() {
        program::Proofs proofs;
        for (const auto& [account, user] :
             {std::pair{"alice", "team"}, std::pair{"bob", "team"}, std::pair{"carol", "carol"}}) {
            auto proof = std::make_shared<AccountProof>();
            proof->account = account;
            proof->destination_user = user;
            proof->root = root_of(*proof);
            proofs.push_back(std::move(proof));
        }
        arguments_.against_file = folder_.write("proof.json", program::proof_text(proofs, 0));
        arguments_.state_dir = folder_.path("state");
        arguments_.destination.url = "imaps://new.example.com";
        arguments_.destination.password.file = folder_.write("password", "secret");
    }
    std::vector<std::string> names() {
        const auto settings = program::prepare(program::Verb::verify, arguments_, {});
        if (!settings) return {settings.error().front()};
        std::vector<std::string> out;
        for (const auto& account : settings->options.accounts) {
            EXPECT_EQ(account.against->account, account.name);
            out.push_back(account.name + " in " + account.destination.user);
        }
        return out;
    }
    void with_accounts(std::string_view text) {
        arguments_.accounts_file = folder_.write("accounts.csv", text);
        arguments_.destination.password = {};
    }
    program::TemporaryFolder folder_;
    program::DataArguments arguments_;
};

using testing::ElementsAre;

TEST_F(Against, AccountsThatShareADestinationUserAreAllLookedAt) {
    EXPECT_THAT(names(), ElementsAre("alice in team", "bob in team", "carol in carol"));
    arguments_.destination.url = "imaps://team@new.example.com";
    EXPECT_THAT(names(), ElementsAre("alice in team", "bob in team"));
}

TEST_F(Against, ARowOfTheAccountsFileNamesItsAccount) {
    const std::string columns = "source_user,destination_user,destination_password\n";
    with_accounts(columns + "bob,team,secret\n");
    EXPECT_THAT(names(), ElementsAre("bob in team"));
    with_accounts(columns + "team,team,secret\n");
    EXPECT_THAT(names(), ElementsAre("alice in team", "bob in team"));
    with_accounts(columns + "dave,team,secret\n");
    EXPECT_THAT(names(), ElementsAre(HasSubstr("proves nothing of team")));
}

}  // namespace
}  // namespace imapult
