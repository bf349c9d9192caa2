// Hostile values through every writer, read back by a reader that is not ours: libldap, libxml2 and
// a batch parser written from the grammar.

#include <gtest/gtest.h>
#include <ldap.h>
#include <ldif.h>
#include <libxml/parser.h>

#include "engine/base/random.h"
#include "provisioning/address.h"
#include "provisioning/batch.h"
#include "provisioning/calls.h"
#include "provisioning/csv.h"
#include "provisioning/dn.h"
#include "provisioning/ldif.h"
#include "provisioning/password.h"
#include "provisioning/profile.h"
#include "provisioning/xml.h"

namespace imapult::provisioning {
namespace {

constexpr std::uint64_t kSeed = 20260104;

// Pieces that break naive quoting, with random octets between them.
std::string hostile(Random& random, bool text_only) {
    static const std::vector<std::string> pieces = {"\n",       "\r\n",
                                                    ")(uid=*",  "*",
                                                    "\\",       "\"",
                                                    "'",        " ",
                                                    "  ",       "#",
                                                    ",",        "+",
                                                    ";",        "<",
                                                    ">",        "&",
                                                    "]]>",      "dn: x",
                                                    "\n-\n",    "\t",
                                                    ":",        "::",
                                                    "=",        "{",
                                                    "}",        "abc",
                                                    "\xC3\xBC", "\xF0\x9F\x93\xAE",
                                                    "prov",     "\n\ndn: cn=evil\n"};
    std::string out;
    for (auto n = random.below(8); n > 0; --n) {
        if (!text_only && random.chance(0.2)) {
            out += static_cast<char>(random.below(256));
        } else {
            out += pieces[random.below(pieces.size())];
        }
    }
    return out;
}

TEST(Writers, LdifIsReadBackByLibldap) {
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    Random random(kSeed);
    for (int round = 0; round < 3000; ++round) {
        const auto value = hostile(random, false) + std::string(random.below(120), 'y');
        std::string text;
        append_ldif_line(text, "description", value);
        for (std::size_t start = 0, end; (end = text.find('\n', start)) != std::string::npos;
             start = end + 1) {
            EXPECT_LE(end - start, 76U);
        }
        char* cursor = text.data();
        char* line = ldif_getline(&cursor);
        ASSERT_NE(line, nullptr);
        berval type{};
        berval parsed{};
        int freed = 0;
        ASSERT_EQ(ldif_parse_line2(line, &type, &parsed, &freed), 0);
        EXPECT_EQ(std::string(type.bv_val, type.bv_len), "description");
        EXPECT_EQ(std::string(parsed.bv_val ? parsed.bv_val : "", parsed.bv_len), value);
        EXPECT_EQ(ldif_getline(&cursor), nullptr) << "the value became a second line";
        if (freed) ber_memfree(parsed.bv_val);
    }
}

TEST(Writers, RdnsAndFiltersAreReadBackByLibldap) {
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    Random random(kSeed);
    for (int round = 0; round < 3000; ++round) {
        const auto value = "v" + hostile(random, true);
        const auto dn = make_rdn("cn", value) + ",dc=example,dc=com";
        const auto parsed = parse_dn(dn);
        ASSERT_TRUE(parsed) << dn;
        ASSERT_EQ(parsed->size(), 3U);
        EXPECT_EQ((*parsed)[0].value, value);
        EXPECT_EQ(normal_dn(*normal_dn(dn)), normal_dn(dn));

        // A filter may hold any octets.
        const auto octets = value + hostile(random, false);
        const auto filter = "(uid=" + escape_filter(octets) + ")";
        BerElement* ber = ber_alloc_t(LBER_USE_DER);
        ASSERT_EQ(ldap_put_vrFilter(ber, filter.c_str()), 0) << filter;
        berval bytes{};
        ber_flatten2(ber, &bytes, 0);
        ber_tag_t tag = 0;
        berval type{};
        berval assertion{};
        BerElement* reader = ber_init(&bytes);
        tag = ber_scanf(reader, "{{mm}}", &type, &assertion);
        ASSERT_NE(tag, LBER_ERROR);
        EXPECT_EQ(std::string(assertion.bv_val, assertion.bv_len), octets);
        ber_free(reader, 1);
        ber_free(ber, 1);
    }
}

TEST(Writers, XmlIsReadBackByLibxml2) {
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    Random random(kSeed);
    int carried = 0;
    for (int round = 0; round < 3000; ++round) {
        const auto value = hostile(random, false);
        if (!fits_xml(value)) continue;
        ++carried;
        std::string text = "<a n=\"";
        append_xml(text, value);
        text += "\">";
        append_xml(text, value);
        text += "</a>";
        auto* document = xmlReadMemory(text.data(), static_cast<int>(text.size()), "x.xml", nullptr,
                                       XML_PARSE_NONET | XML_PARSE_NOERROR);
        ASSERT_NE(document, nullptr) << text;
        auto* root = xmlDocGetRootElement(document);
        auto* attribute = xmlGetProp(root, reinterpret_cast<const xmlChar*>("n"));
        auto* content = xmlNodeGetContent(root);
        EXPECT_EQ(std::string(reinterpret_cast<char*>(attribute)), value);
        EXPECT_EQ(std::string(reinterpret_cast<char*>(content)), value);
        EXPECT_EQ(xmlChildElementCount(root), 0U);
        xmlFree(attribute);
        xmlFree(content);
        xmlFreeDoc(document);
    }
    EXPECT_GT(carried, 1000);
}

// The grammar of carbonio.md 2.2, by the letter.
std::vector<std::string> split_batch(const std::string& line) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (c == '\\' && i + 1 < line.size()) {
            const char next = line[++i];
            word += next == 'n' ? '\n' : next == 't' ? '\t' : next == 'r' ? '\r' : next;
            in_word = true;
        } else if (quote != 0) {
            if (c == quote) {
                quote = 0;
            } else {
                word += c;
            }
        } else if (c == '"' || c == '\'') {
            quote = c;
            in_word = true;
        } else if (c == ' ' || c == '\t') {
            if (in_word) words.push_back(word);
            word.clear();
            in_word = false;
        } else {
            word += c;
            in_word = true;
        }
    }
    if (in_word) words.push_back(word);
    return words;
}

TEST(Writers, BatchLinesAreReadBackByTheGrammar) {
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    Random random(kSeed);
    for (int round = 0; round < 3000; ++round) {
        Call call;
        call.verb = Verb::create_account;
        call.target = "ann@example.com";
        const auto first = hostile(random, true);
        const auto second = hostile(random, true);
        call.attributes = {{"displayName", first}, {"zimbraNotes", second}};
        const auto line = batch_line(call);
        EXPECT_EQ(line.find_first_of("\n\r"), std::string::npos);
        const std::vector<std::string> expected = {"ca",  "ann@example.com", "",    "displayName",
                                                   first, "zimbraNotes",     second};
        EXPECT_EQ(split_batch(line), expected) << line;
    }
}

TEST(Writers, BatchVerbsAreThoseOfTheProgram) {
    Call call;
    call.target = "ann@example.com";
    call.name = "Work";
    call.verb = Verb::create_signature;
    call.attributes = {{"zimbraPrefMailSignatureHTML", "<p>a \"b\"</p>"}};
    EXPECT_EQ(batch_line(call),
              "csig ann@example.com Work zimbraPrefMailSignatureHTML \"<p>a \\\"b\\\"</p>\"");
    call.attributes.clear();
    call.verb = Verb::grant_right;
    call.target_type = "account";
    call.grantee_type = "usr";
    call.name = "bob@example.com";
    call.text = "sendAs";
    EXPECT_EQ(batch_line(call), "grr account ann@example.com usr bob@example.com sendAs");
}

TEST(Xml, DocumentTypesAndEndlessNestingAreRefused) {
    EXPECT_FALSE(parse_xml("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>"));
    std::string deep;
    for (int i = 0; i < 100; ++i) deep += "<a>";
    EXPECT_FALSE(parse_xml(deep));
    EXPECT_FALSE(parse_xml("<a><b></a>"));
    EXPECT_TRUE(parse_xml("<a xmlns=\"urn:x\"><b>1</b></a>"));
}

TEST(Address, IsNormalOrRefused) {
    EXPECT_EQ(normal_address(" Ann@B\xC3\xBC"
                             "cher.EXAMPLE "),
              "ann@xn--bcher-kva.example");
    EXPECT_EQ(normal_address("o'brien+x@example.com"), "o'brien+x@example.com");
    for (const auto* bad :
         {"ann", "@example.com", "ann@", "a b@example.com", "*)(uid=*@example.com",
          "ann@exa mple.com", "a@@b", ".a@example.com", "a..b@example.com", "a\nb@example.com",
          "\"a\"@example.com", "ann@-x.com"}) {
        EXPECT_FALSE(normal_address(bad)) << bad;
    }
    EXPECT_FALSE(normal_address(std::string(65, 'a') + "@example.com"));
}

TEST(Password, SchemesCarbonioVerifiesAreKept) {
    EXPECT_EQ(judge_hash(hash_password("x", "a@example.com")).fate, HashFate::keep);
    EXPECT_EQ(judge_hash("{CRYPT}$6$abc$def").fate, HashFate::keep);
    EXPECT_EQ(judge_hash("{ssha}MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0").fate, HashFate::keep);
    EXPECT_EQ(judge_hash("{SSHA}not base64").fate, HashFate::reset);
    EXPECT_EQ(judge_hash("{PBKDF2_SHA256}AAAB").fate, HashFate::reset);
    EXPECT_EQ(judge_hash("{ARGON2}x").fate, HashFate::reset);
    EXPECT_EQ(judge_hash("{SASL}ann").fate, HashFate::reset);
    EXPECT_EQ(judge_hash("{CLEARTEXT}x").fate, HashFate::cleartext);
    EXPECT_EQ(judge_hash("plain").secret, "plain");
    EXPECT_EQ(derived_uuid("a"), derived_uuid("a"));
    EXPECT_TRUE(is_uuid(derived_uuid("a")));
    EXPECT_NE(random_password().reveal(), random_password().reveal());
}

TEST(Password, HashesAreCutOutOfWhatServersSay) {
    EXPECT_EQ(without_hashes("userPassword={SSHA512}abc/+=$. is refused"),
              "userPassword={SSHA512}… is refused");
    EXPECT_EQ(without_hashes("<a n=\"userPassword\">{CRYPT}$6$x$y</a>{ssha}q"),
              "<a n=\"userPassword\">{CRYPT}…</a>{ssha}…");
    EXPECT_EQ(without_hashes("no hash {} { } {a b}c {x"), "no hash {} { } {a b}c {x");
    EXPECT_EQ(without_hashes("} {"), "} {");
    EXPECT_EQ(without_hashes("{x {SSHA}abc} {y"), "{x {SSHA}… {y");
    EXPECT_EQ(without_hashes(""), "");
    EXPECT_EQ(without_hashes("{MD5}"), "{MD5}");
}

TEST(Csv, QuotesAndLineBreaksAreRead) {
    const auto source = memory_source(
        "a@example.com,\"Smith, \"\"J\"\"\",x\r\n\n\"two\nlines\",y,z\nbad\"quote\",1\n\"x\"y,1\n");
    CsvReader reader(*source);
    std::vector<Problem> problems;
    const auto first = reader.next(problems);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->fields[1], "Smith, \"J\"");
    const auto second = reader.next(problems);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->fields[0], "two\nlines");
    EXPECT_EQ(second->where.line, 3U);
    EXPECT_EQ(reader.next(problems)->fields[0], "bad\"quote\"");
    EXPECT_FALSE(reader.next(problems));
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].line, 6U);
}

}  // namespace
}  // namespace imapult::provisioning
