#include <xxhash.h>

#include <cstring>

#include "dedup/identity.h"
#include "engine/base/error.h"

namespace imapult::dedup {
namespace {

Digest128 bytes_of(XXH128_hash_t hash) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    Digest128 digest;
    static_assert(sizeof canonical.digest == sizeof digest);
    std::memcpy(digest.data(), canonical.digest, sizeof digest);
    return digest;
}

}  // namespace

struct FreeState {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

struct ContentDigest::State {
    // On the heap by the library, whose size of it we need not know.
    std::unique_ptr<XXH3_state_t, FreeState> hash{XXH3_createState()};
    std::string secret;  // XXH3 keeps a pointer to it
};

ContentDigest::ContentDigest(std::string_view secret) : state_(std::make_unique<State>()) {
    IMAPULT_ASSERT(state_->hash != nullptr);
    IMAPULT_ASSERT(secret.size() >= XXH3_SECRET_SIZE_MIN);
    state_->secret = secret;
    reset();
}

ContentDigest::~ContentDigest() = default;
ContentDigest::ContentDigest(ContentDigest&&) noexcept = default;
ContentDigest& ContentDigest::operator=(ContentDigest&&) noexcept = default;

void ContentDigest::reset() {
    const XXH_errorcode code = XXH3_128bits_reset_withSecret(
        state_->hash.get(), state_->secret.data(), state_->secret.size());
    IMAPULT_ASSERT(code == XXH_OK);
}

void ContentDigest::update(std::string_view bytes) {
    const XXH_errorcode code = XXH3_128bits_update(state_->hash.get(), bytes.data(), bytes.size());
    IMAPULT_ASSERT(code == XXH_OK);
}

Digest128 ContentDigest::finish() const {
    return bytes_of(XXH3_128bits_digest(state_->hash.get()));
}

Digest128 ContentDigest::of(std::string_view bytes, std::string_view secret) {
    IMAPULT_ASSERT(secret.size() >= XXH3_SECRET_SIZE_MIN);
    return bytes_of(
        XXH3_128bits_withSecret(bytes.data(), bytes.size(), secret.data(), secret.size()));
}

}  // namespace imapult::dedup
