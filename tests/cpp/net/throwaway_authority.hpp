// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace memfs_cache::testing {

/// A certificate and its key.
struct Certificate {
    std::shared_ptr<X509> certificate;
    std::shared_ptr<EVP_PKEY> key;

    [[nodiscard]] auto server_context() const -> std::shared_ptr<SSL_CTX> {
        std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
        REQUIRE(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1);
        REQUIRE(SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1);
        return context;
    }
    [[nodiscard]] auto pem() const -> std::string {
        std::unique_ptr<BIO, decltype(&BIO_free)> const memory(BIO_new(BIO_s_mem()), BIO_free);
        REQUIRE(PEM_write_bio_X509(memory.get(), certificate.get()) == 1);
        char* text = nullptr;
        auto const size = BIO_get_mem_data(memory.get(), &text);
        return {text, static_cast<std::size_t>(size)};
    }
};

/// Signs certificates for a test; nobody else trusts it.
class Throwaway_Authority {
  public:
    Throwaway_Authority() : own_(make("throwaway authority", "CA:TRUE", nullptr, -hour, hour)) {}

    [[nodiscard]] auto pem() const -> std::string { return own_.pem(); }

    /// @param  name   as in a subjectAltName: "DNS:localhost" or "IP:127.0.0.1"
    /// @param  begin  of its validity, in seconds from now; `end` likewise
    [[nodiscard]] auto issue(std::string const& name, long begin = -hour, long end = hour) const -> Certificate {
        return make("peer", name, &own_, begin, end);
    }

    static constexpr long hour = 3600;

  private:
    [[nodiscard]] static auto
    make(char const* subject, std::string const& extension, Certificate const* signer, long begin, long end)
        -> Certificate {
        static long serial = 0;
        Certificate made{{X509_new(), X509_free}, {EVP_EC_gen("P-256"), EVP_PKEY_free}};
        auto* const certificate = made.certificate.get();
        X509_set_version(certificate, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
        X509_gmtime_adj(X509_getm_notBefore(certificate), begin);
        X509_gmtime_adj(X509_getm_notAfter(certificate), end);
        X509_set_pubkey(certificate, made.key.get());
        X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                   reinterpret_cast<unsigned char const*>(subject), -1, -1, 0);
        auto const& issuer = signer != nullptr ? *signer : made;
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.get()));
        std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> const what(
            X509V3_EXT_conf_nid(nullptr, nullptr, signer != nullptr ? NID_subject_alt_name : NID_basic_constraints,
                                extension.c_str()),
            X509_EXTENSION_free);
        REQUIRE(what != nullptr);
        X509_add_ext(certificate, what.get(), -1);
        REQUIRE(X509_sign(certificate, issuer.key.get(), EVP_sha256()) > 0);
        return made;
    }

    Certificate own_;
};

} // namespace memfs_cache::testing
