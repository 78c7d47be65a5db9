// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/namespaces/analytics/client_memo.hpp>

#include <algorithm>
#include <cstring>

namespace memfs_cache {

auto Client_Memo::find(Request_View const& request, std::uint64_t owner, Utc_Time time) const noexcept
    -> Client_Facts const* {
    if (owner != owner_ || time < start_ || time >= end_)
        return nullptr;
    auto const* kept = texts_.data();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        auto const text = request.*inputs[i];
        if (text.size() != sizes_[i] || (!text.empty() && std::memcmp(text.data(), kept, text.size()) != 0))
            return nullptr;
        kept += text.size();
    }
    return &facts_;
}

void Client_Memo::keep(Request_View const& request,
                       std::uint64_t owner,
                       Utc_Time start,
                       Utc_Time end,
                       Client_Facts const& facts) noexcept {
    start_ = end_ = start; // until all of it is here
    std::size_t size = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        auto const text = request.*inputs[i];
        if (text.size() > texts_.size() - size)
            return;
        sizes_[i] = static_cast<std::uint16_t>(text.size());
        std::copy(text.begin(), text.end(), texts_.begin() + static_cast<std::ptrdiff_t>(size));
        size += text.size();
    }
    owner_ = owner;
    end_ = end;
    facts_ = facts;
}

} // namespace memfs_cache
