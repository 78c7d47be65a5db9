// SPDX-License-Identifier: Apache-2.0
#include "s3_xml.hpp"

#include <memfs_cache/core/percent.hpp>

#include <pugixml.hpp>

namespace memfs_cache::s3 {
namespace {

/// An answer whose outermost element has this name; else its root is empty.
class Document {
  public:
    Document(Byte_View xml, char const* root) {
        // White space may be a key.
        auto const read = document_.load_buffer(
            xml.data(), xml.size(), pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
        if (read)
            root_ = document_.child(root);
    }
    [[nodiscard]] auto root() const -> pugi::xml_node const& { return root_; }

  private:
    pugi::xml_document document_;
    pugi::xml_node root_;
};

} // namespace

auto bare_etag(std::string_view etag) -> std::string {
    if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
        etag = etag.substr(1, etag.size() - 2);
    return std::string(etag);
}

auto parse_error(Byte_View xml) -> Error_Text {
    Document const document(xml, "Error");
    return {document.root().child_value("Code"), document.root().child_value("Region")};
}

auto parse_listing(Byte_View xml) -> std::optional<Listing> {
    Document const document(xml, "ListBucketResult");
    auto const& root = document.root();
    if (!root)
        return std::nullopt;
    bool const is_encoded = std::string_view(root.child_value("EncodingType")) == "url";
    Listing listing;
    for (auto const item : root.children("Contents")) {
        std::string_view const name = item.child_value("Key");
        auto decoded = is_encoded ? percent_decode(name, true) : std::string(name);
        auto const size = parse_decimal(item.child_value("Size"));
        if (!size)
            return std::nullopt;
        if (!decoded)
            continue; // not UTF-8, so no key of ours
        listing.items.push_back({*std::move(decoded), *size, bare_etag(item.child_value("ETag"))});
    }
    listing.is_truncated = std::string_view(root.child_value("IsTruncated")) == "true";
    listing.next_token = root.child_value("NextContinuationToken");
    return listing;
}

auto parse_uploads(Byte_View xml) -> std::optional<std::vector<Upload>> {
    Document const document(xml, "ListMultipartUploadsResult");
    if (!document.root())
        return std::nullopt;
    std::vector<Upload> uploads;
    for (auto const upload : document.root().children("Upload"))
        uploads.push_back({upload.child_value("Key"), upload.child_value("UploadId"), upload.child_value("Initiated")});
    return uploads;
}

auto parse_upload_id(Byte_View xml) -> std::optional<std::string> {
    Document const document(xml, "InitiateMultipartUploadResult");
    std::string id = document.root().child_value("UploadId");
    return id.empty() ? std::nullopt : std::optional(std::move(id));
}

auto parse_completed(Byte_View xml) -> std::optional<std::string> {
    Document const document(xml, "CompleteMultipartUploadResult");
    auto etag = bare_etag(document.root().child_value("ETag"));
    return etag.empty() ? std::nullopt : std::optional(std::move(etag));
}

auto completion_text(std::vector<std::string> const& etags) -> std::string {
    pugi::xml_document document;
    auto root = document.append_child("CompleteMultipartUpload");
    for (std::size_t i = 0; i < etags.size(); ++i) {
        auto part = root.append_child("Part");
        part.append_child("PartNumber").text().set(static_cast<unsigned long long>(i + 1));
        part.append_child("ETag").text().set(("\"" + etags[i] + "\"").c_str());
    }
    struct Text final : pugi::xml_writer {
        std::string text;
        void write(void const* bytes, std::size_t size) override { text.append(static_cast<char const*>(bytes), size); }
    } out;
    document.save(out, "", pugi::format_raw | pugi::format_no_declaration, pugi::encoding_utf8);
    return out.text;
}

} // namespace memfs_cache::s3
