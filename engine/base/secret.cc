#include "engine/base/secret.h"

#include <cstring>  // explicit_bzero (glibc)

namespace imapult {

void Secret::wipe(std::string& bytes) noexcept {
    // The whole capacity, since a longer secret may have stood there; explicit_bzero is not optimised
    // away.
    explicit_bzero(bytes.data(), bytes.capacity());
    bytes.clear();
}

}  // namespace imapult
