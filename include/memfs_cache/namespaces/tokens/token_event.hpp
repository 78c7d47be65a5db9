// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/lets/concepts.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace memfs_cache {

/// A use of a token, the refusal of one, or uses that were charged because who had leased them is gone. Models LogEvent.
struct Token_Event {
    Utc_Time timestamp;
    std::string token_name;
    std::string action = "page_opened"; ///< what it was used for
    std::string rejection_reason;       ///< "" if it was granted
    std::string ip_hash;
    std::string transfer_id;
    std::string lease;         ///< that it was granted from, or that was charged; "" without leases
    std::uint64_t charged = 0; ///< uses that nobody heard of; 0 unless this is a charge

    [[nodiscard]] auto accepted() const noexcept -> bool { return rejection_reason.empty() && charged == 0; }

    void append_json(std::string& out) const;
    [[nodiscard]] auto read(Raw_Event const& raw) -> Result<void>;
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// How often a token was used and refused.
struct Token_Figures {
    std::uint64_t accepted = 0;
    std::uint64_t exhausted = 0; ///< refused because of that, as the next two
    std::uint64_t expired = 0;
    std::uint64_t revoked = 0;
    std::uint64_t charged = 0; ///< uses of leases whose holders are gone and that no event speaks of

    [[nodiscard]] auto rejected() const noexcept -> std::uint64_t { return exhausted + expired + revoked; }
    void add(Token_Figures const& other) noexcept;
    friend auto operator==(Token_Figures const&, Token_Figures const&) -> bool = default;
};

/// The figures of every token that was used in a window. Models WindowSummary.
struct Tokens_Summary {
    std::map<std::string, Token_Figures, std::less<>> tokens;

    /// Of one token; all 0 if it was not used.
    [[nodiscard]] auto of(std::string_view token_name) const -> Token_Figures;
    [[nodiscard]] auto total() const noexcept -> Token_Figures;

    void add(Token_Event const& event);
    void merge(Tokens_Summary const& other);
    void append_members(std::string& out) const;
    [[nodiscard]] static auto from_object(boost::json::object const& object) -> Result<Tokens_Summary>;
};

} // namespace memfs_cache
