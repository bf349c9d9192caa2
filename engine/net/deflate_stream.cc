#include "engine/net/deflate_stream.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/limits.h"

namespace imapult::net {

namespace {

constexpr int kRawWindowBits = -15;  ///< RFC 4978, section 3: raw deflate, 32 KiB window
constexpr int kLevel = 1;            ///< mail compresses almost as well as with 6, at a third
constexpr int kMemoryLevel = 8;
constexpr std::size_t kOutBytes = limits::kSendSlabBytes / 2;

class DeflateStream final : public Stream {
  public:
    DeflateStream(std::unique_ptr<Stream> inner, std::string pending)
        : inner_(std::move(inner)), pending_(std::move(pending)) {
        IMAPULT_ASSERT(inflateInit2(&inflater_, kRawWindowBits) == Z_OK);
        IMAPULT_ASSERT(deflateInit2(&deflater_, kLevel, Z_DEFLATED, kRawWindowBits, kMemoryLevel,
                                    Z_DEFAULT_STRATEGY) == Z_OK);
        give_input(pending_);
    }
    ~DeflateStream() override {
        inflateEnd(&inflater_);
        deflateEnd(&deflater_);
    }
    DeflateStream(const DeflateStream&) = delete;
    DeflateStream& operator=(const DeflateStream&) = delete;

    runtime::Task<Result<std::string_view>> read() override;
    runtime::Task<Result<void>> write(std::string_view bytes) override;
    void abort() override { inner_->abort(); }
    runtime::Task<void> close() override { return inner_->close(); }

    [[nodiscard]] std::uint64_t wire_bytes_in() const override { return inner_->wire_bytes_in(); }
    [[nodiscard]] std::uint64_t wire_bytes_out() const override { return inner_->wire_bytes_out(); }
    [[nodiscard]] bool is_loopback() const override { return inner_->is_loopback(); }
    [[nodiscard]] bool is_secure() const override { return inner_->is_secure(); }

  private:
    void give_input(std::string_view bytes) {
        // zlib promises not to write through next_in.
        inflater_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
        inflater_.avail_in = static_cast<uInt>(bytes.size());
    }

    std::unique_ptr<Stream> inner_;
    std::string pending_;
    z_stream inflater_{};
    z_stream deflater_{};
    std::unique_ptr<char[]> plain_;   ///< kInflateBlockBytes
    std::unique_ptr<char[]> packed_;  ///< kOutBytes
    bool ended_ = false;
};

runtime::Task<Result<std::string_view>> DeflateStream::read() {
    if (!plain_) plain_ = std::make_unique_for_overwrite<char[]>(limits::kInflateBlockBytes);
    while (!ended_) {
        // Also without new input: the inflater may hold more than fitted the last time. However
        // much a few octets expand to, it leaves here in blocks of a fixed size.
        inflater_.next_out = reinterpret_cast<Bytef*>(plain_.get());
        inflater_.avail_out = limits::kInflateBlockBytes;
        const int result = inflate(&inflater_, Z_SYNC_FLUSH);
        if (result == Z_STREAM_END) {
            ended_ = true;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            co_return fail(Code::protocol, Scope::connection, Retry::now,
                           "the peer's compressed data is damaged; try again with compression off");
        }
        const std::size_t got = limits::kInflateBlockBytes - inflater_.avail_out;
        if (got > 0) co_return std::string_view(plain_.get(), got);
        if (ended_) break;
        auto bytes = co_await inner_->read();
        if (!bytes) co_return std::unexpected(std::move(bytes).error());
        if (bytes->empty()) break;
        give_input(*bytes);
    }
    ended_ = true;
    co_return std::string_view{};
}

runtime::Task<Result<void>> DeflateStream::write(std::string_view bytes) {
    if (bytes.empty()) co_return Result<void>{};
    if (!packed_) packed_ = std::make_unique_for_overwrite<char[]>(kOutBytes);
    for (bool more = true; more;) {
        const std::string_view part = bytes.substr(0, limits::kSendBytesMax);
        bytes.remove_prefix(part.size());
        more = !bytes.empty();
        deflater_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
        deflater_.avail_in = static_cast<uInt>(part.size());
        // A full output block means that there may be more to come (zlib.h, deflate()).
        do {
            deflater_.next_out = reinterpret_cast<Bytef*>(packed_.get());
            deflater_.avail_out = kOutBytes;
            const int result = deflate(&deflater_, more ? Z_NO_FLUSH : Z_SYNC_FLUSH);
            IMAPULT_ASSERT(result == Z_OK || result == Z_BUF_ERROR);
            const std::size_t size = kOutBytes - deflater_.avail_out;
            if (size == 0) continue;
            auto sent = co_await inner_->write(std::string_view(packed_.get(), size));
            if (!sent) co_return sent;
        } while (deflater_.avail_out == 0);
    }
    co_return Result<void>{};
}

}  // namespace

std::unique_ptr<Stream> make_deflate_stream(std::unique_ptr<Stream> inner, std::string pending) {
    return std::make_unique<DeflateStream>(std::move(inner), std::move(pending));
}

}  // namespace imapult::net
