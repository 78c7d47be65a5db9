// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/http/rate_limiter.hpp>

#include <boost/assert.hpp>

#include <algorithm>

namespace memfs_cache {

using std::chrono::microseconds;

Rate_Limiter::Rate_Limiter(Rate rate, Trusted_Proxies proxies, Clock_Ptr clock)
    : interval_(rate.period / rate.count), burst_(interval_ * rate.count), proxies_(std::move(proxies)),
      clock_(std::move(clock)) {
    BOOST_ASSERT(interval_ > microseconds::zero());
    fill_random(key_.data(), key_.size());
}

auto Rate_Limiter::wait(Request const& request) const -> std::optional<microseconds> {
    auto const hash = hash_of(request);
    auto const now = Time(clock_->now());
    std::lock_guard const lock(mutex_);
    return wait_of(paid_until(hash, now), now);
}

auto Rate_Limiter::spend(Request const& request) -> std::optional<microseconds> {
    auto const hash = hash_of(request);
    auto const now = Time(clock_->now());
    std::lock_guard const lock(mutex_);
    auto const paid = paid_until(hash, now);
    if (auto const wait = wait_of(paid, now))
        return wait;
    auto& bucket = buckets_[bucket_of(hash)];
    auto place = std::find_if(bucket.begin(), bucket.end(), [&](Client const& client) { return client.hash == hash; });
    if (place == bucket.end()) // a client that has paid is as good as forgotten
        place = std::min_element(bucket.begin(), bucket.end(),
                                 [](Client const& a, Client const& b) { return a.paid_until < b.paid_until; });
    *place = {hash, paid + interval_};
    return std::nullopt;
}

auto Rate_Limiter::hash_of(Request const& request) const -> std::uint64_t {
    auto const client = client_of(request.remote, request.headers.joined("X-Forwarded-For"), proxies_);
    if (!client)
        return siphash24(key_, {});
    constexpr std::size_t network_bytes = 8;
    auto const& bytes = client->bytes();
    return siphash24(key_,
                     {reinterpret_cast<char const*>(bytes.data()), client->is_v4() ? bytes.size() : network_bytes});
}

auto Rate_Limiter::paid_until(std::uint64_t hash, Time now) const -> Time {
    for (auto const& client : buckets_[bucket_of(hash)])
        if (client.hash == hash)
            return client.paid_until > now + burst_ ? now : std::max(client.paid_until, now);
    return now;
}

auto Rate_Limiter::wait_of(Time paid_until, Time now) const -> std::optional<microseconds> {
    auto const wait = paid_until + interval_ - (now + burst_);
    return wait > microseconds::zero() ? std::optional(wait) : std::nullopt;
}

} // namespace memfs_cache
