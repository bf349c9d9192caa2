#pragma once
// COMPRESS=DEFLATE (RFC 4978) over any stream; the same for both sides.

#include <memory>
#include <string>

#include "engine/net/stream.h"

namespace imapult::net {

/// `pending`: compressed bytes that were already read from `inner`. Each write() is flushed, so
/// that the peer can act on it. Damaged data is Code::protocol.
std::unique_ptr<Stream> make_deflate_stream(std::unique_ptr<Stream> inner, std::string pending);

}  // namespace imapult::net
