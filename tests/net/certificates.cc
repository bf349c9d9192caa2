#include "net/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "engine/base/error.h"

namespace imapult::test {

namespace {

struct Free {
    void operator()(X509* x) const { X509_free(x); }
    void operator()(EVP_PKEY* x) const { EVP_PKEY_free(x); }
};
using CertificatePtr = std::unique_ptr<X509, Free>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    IMAPULT_ASSERT(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

CertificatePtr make(EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, const std::string& subject,
                    long from, long until, long serial) {
    CertificatePtr certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until);
    X509_NAME* name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate.get(),
                         issuer != nullptr ? X509_get_subject_name(issuer) : name);
    X509_set_pubkey(certificate.get(), key);
    X509* signer = issuer != nullptr ? issuer : certificate.get();
    add_extension(certificate.get(), signer, NID_basic_constraints,
                  issuer == nullptr && issuer_key == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    return certificate;
}

void write_certificate(const std::string& path, X509* certificate) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    IMAPULT_ASSERT(file != nullptr && PEM_write_X509(file, certificate) == 1);
    std::fclose(file);
}

void write_key(const std::string& path, EVP_PKEY* key) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    IMAPULT_ASSERT(file != nullptr &&
                   PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    std::fclose(file);
}

std::string fingerprint(X509* certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    X509_digest(certificate, EVP_sha256(), digest, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
        char pair[4];
        std::snprintf(pair, sizeof pair, "%s%02X", i > 0 ? ":" : "", digest[i]);
        text += pair;
    }
    return text;
}

}  // namespace

struct CertificateFolder::Ca {
    KeyPtr key;
    CertificatePtr certificate;
};

CertificateFolder::CertificateFolder() : ca_(std::make_unique<Ca>()) {
    std::string name = std::filesystem::temp_directory_path() / "imapult-certificates-XXXXXX";
    IMAPULT_ASSERT(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    ca_->key.reset(EVP_EC_gen("P-256"));
    ca_->certificate = make(ca_->key.get(), nullptr, nullptr, "Test CA", -86400, 864000, 1);
    X509_sign(ca_->certificate.get(), ca_->key.get(), EVP_sha256());
    ca_file_ = path("ca.pem");
    write_certificate(ca_file_, ca_->certificate.get());
}

CertificateFolder::~CertificateFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

CertificateFiles CertificateFolder::issue(const CertificateRequest& request) {
    const std::string stem = path("leaf" + std::to_string(++issued_));
    const KeyPtr key(EVP_EC_gen("P-256"));
    X509* issuer = request.self_signed ? nullptr : ca_->certificate.get();
    EVP_PKEY* signer = request.self_signed ? key.get() : ca_->key.get();
    const CertificatePtr certificate =
        make(key.get(), issuer, signer, "leaf", request.valid_from_seconds,
             request.valid_from_seconds + request.valid_for_seconds, 100 + issued_);
    add_extension(certificate.get(), issuer != nullptr ? issuer : certificate.get(),
                  NID_subject_alt_name, request.name);
    X509_sign(certificate.get(), signer, EVP_sha256());
    CertificateFiles files{stem + ".pem", stem + ".key", fingerprint(certificate.get())};
    write_certificate(files.certificate, certificate.get());
    write_key(files.key, key.get());
    return files;
}

}  // namespace imapult::test
