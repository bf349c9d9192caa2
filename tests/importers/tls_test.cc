// The destination's certificate: checked by default, and the three ways to say otherwise.

#include "importers/world.h"
#include "net/certificates.h"

namespace imapult::importers_test {
namespace {

using importers::What;
using testing::HasSubstr;
using testing::Not;

class ImportTls : public World {
  protected:
    ImportTls() {
        write("alice@example.com.ics", calendar(event("1")));
        user_ = listen(false);
        admin_ = listen(true);
    }
    ~ImportTls() override { stop(); }

    std::unique_ptr<standin::HttpServer> listen(bool admin) {
        return std::make_unique<standin::HttpServer>(
            "127.0.0.1", 0, files_.certificate, files_.key,
            [this, admin](const standin::HttpRequest& r) { return server_->handle(r, admin); });
    }
    static http::TlsOptions tls(const std::string& ca_file, const std::string& fingerprint) {
        http::TlsOptions out;
        out.ca_file = ca_file;
        out.fingerprint_sha256 = fingerprint;
        return out;
    }
    importers::RunReport run_with(const http::TlsOptions& how) {
        auto o = options(What::calendars);
        o.http.tls = how;
        o.http.tries = 1;
        return run(o);
    }

    test::CertificateFolder certificates_;
    test::CertificateFiles files_ = certificates_.issue({.name = "IP:127.0.0.1"});
};

TEST_F(ImportTls, AnUnknownAuthorityIsRefusedBeforeAPasswordIsSent) {
    const auto report = run_with({});
    EXPECT_EQ(report.exit_code(), 4) << report.text();
    EXPECT_THAT(report.text(), HasSubstr("TLS"));
    EXPECT_EQ(stats().value("uploads_ics", 0), 0);
}

TEST_F(ImportTls, AnAuthorityOfOnesOwnIsTrusted) {
    const auto report = run_with(tls(certificates_.ca_file(), {}));
    EXPECT_EQ(report.exit_code(), 0) << report.text();
    EXPECT_THAT(report.text(), Not(HasSubstr("warning")));
}

TEST_F(ImportTls, ACertificateForAnotherNameIsRefused) {
    files_ = certificates_.issue({.name = "DNS:other.example.com"});
    user_ = listen(false);
    admin_ = listen(true);
    EXPECT_EQ(run_with(tls(certificates_.ca_file(), {})).exit_code(), 4);
}

TEST_F(ImportTls, AFingerprintTrustsThatCertificateOnly) {
    std::string fingerprint = *http::parse_fingerprint(files_.fingerprint);
    EXPECT_EQ(run_with(tls({}, fingerprint)).exit_code(), 0);
    fingerprint[0] = fingerprint[0] == '0' ? '1' : '0';
    EXPECT_EQ(run_with(tls({}, fingerprint)).exit_code(), 4);
}

TEST_F(ImportTls, WithoutAnyCheckEveryReportSaysSo) {
    http::TlsOptions unchecked;
    unchecked.insecure = true;
    const auto report = run_with(unchecked);
    EXPECT_EQ(report.exit_code(), 0) << report.text();
    EXPECT_THAT(report.text(), HasSubstr("--destination-tls-insecure"));
    EXPECT_THAT(report.json(), HasSubstr("--destination-tls-insecure"));
    for (const char* name : {"r.csv", "r.html", "r.json"}) {
        ASSERT_TRUE(report.write((root_ / name).string()));
        EXPECT_THAT(read(root_ / name), HasSubstr("--destination-tls-insecure")) << name;
    }
}

}  // namespace
}  // namespace imapult::importers_test
