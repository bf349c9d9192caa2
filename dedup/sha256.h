#pragma once
// SHA-256 by OpenSSL, in a stream.

#include <openssl/evp.h>

#include <memory>
#include <string_view>

#include "dedup/identity.h"

namespace imapult::dedup {

class Sha256Stream {
  public:
    Sha256Stream();
    void update(std::string_view bytes);
    /// Once.
    Sha256 finish();

  private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace imapult::dedup
