// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/http/body_sink.hpp>
#include <memfs_cache/http/replies.hpp>

namespace memfs_cache {

namespace {

auto pour(Byte_View body, Body_Sink& sink) -> Response {
    if (body.size() > sink.limit_bytes())
        return body_too_large(sink.limit_bytes());
    if (auto refusal = sink.begin())
        return *std::move(refusal);
    while (!body.empty()) {
        auto const piece = body.substr(0, sink.piece_bytes());
        if (auto refusal = sink.take(piece))
            return *std::move(refusal);
        body.remove_prefix(piece.size());
    }
    return sink.finish();
}

} // namespace

void Reception::complete(Response& response) const {
    for (auto const& [its, ours] : {std::pair(&response.route, &route), std::pair(&response.transfer_id, &transfer_id),
                                    std::pair(&response.token_id, &token_id)})
        if (its->empty())
            *its = *ours;
}

auto hand_over(Byte_View body, Reception const& reception) -> Response {
    auto response = pour(body, *reception.sink);
    reception.complete(response);
    return response;
}

} // namespace memfs_cache
