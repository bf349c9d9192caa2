#pragma once
// SHA-256 by OpenSSL, in a stream; SHA-1 only to compare with what Cyrus tells (DIGEST=SHA1).

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

#include "dedup/identity.h"

namespace imapult::dedup {

struct FreeDigest {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class Sha256Stream {
  public:
    Sha256Stream();
    void update(std::string_view bytes);
    /// Once.
    Sha256 finish();

  private:
    std::unique_ptr<EVP_MD_CTX, FreeDigest> context_;
};

class Sha1Stream {
  public:
    Sha1Stream();
    void update(std::string_view bytes);
    /// Hexadecimal, lower case. Once.
    std::string finish();

  private:
    std::unique_ptr<EVP_MD_CTX, FreeDigest> context_;
};

}  // namespace imapult::dedup
