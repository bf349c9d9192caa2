#pragma once
// Certificates made for one test, in a folder of its own.

#include <filesystem>
#include <memory>
#include <string>

namespace imapult::test {

struct CertificateFiles {
    std::string certificate;  ///< PEM file
    std::string key;          ///< PEM file
    std::string fingerprint;  ///< "AB:CD:…", SHA-256
};

struct CertificateRequest {
    std::string name;  ///< "DNS:imap.example.com,IP:127.0.0.1"
    long valid_from_seconds = -3600;
    long valid_for_seconds = 7200;  ///< counted from valid_from
    bool self_signed = false;
};

/// A CA and what it signs.
class CertificateFolder {
  public:
    CertificateFolder();
    ~CertificateFolder();
    CertificateFolder(const CertificateFolder&) = delete;
    CertificateFolder& operator=(const CertificateFolder&) = delete;

    [[nodiscard]] const std::string& ca_file() const { return ca_file_; }
    CertificateFiles issue(const CertificateRequest& request);
    [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }

  private:
    struct Ca;
    std::filesystem::path folder_;
    std::string ca_file_;
    std::unique_ptr<Ca> ca_;
    int issued_ = 0;
};

}  // namespace imapult::test
