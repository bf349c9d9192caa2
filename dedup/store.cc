#include "dedup/store.h"

#include <future>
#include <utility>

namespace imapult::dedup {

Result<void> Store::commit_and_wait(WriteBatch batch) {
    std::promise<Result<void>> promise;
    std::future<Result<void>> future = promise.get_future();
    commit(std::move(batch), true,
           [&promise](Result<void> result) { promise.set_value(std::move(result)); });
    return future.get();
}

}  // namespace imapult::dedup
