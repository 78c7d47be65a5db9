// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/namespaces/analytics/user_agent.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <set>
#include <string>

using namespace memfs_cache;

namespace {

struct Case {
    std::string_view expected;
    std::string_view header;
};

constexpr Case browsers[] = {
    // Chrome and what is built on it.
    {"Chrome on Windows",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"},
    {"Chrome on macOS",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 "
     "Safari/537.36"},
    {"Chrome on Linux",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"},
    {"Chrome on Linux",
     "Mozilla/5.0 (X11; Linux i686) AppleWebKit/537.36 (KHTML, like Gecko) Ubuntu Chromium/32.0.1700.102 "
     "Chrome/32.0.1700.102 Safari/537.36"},
    {"Chrome on ChromeOS",
     "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"},
    {"Chrome on BSD",
     "Mozilla/5.0 (X11; FreeBSD amd64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/30.0.1599.101 Safari/537.36"},
    {"Chrome on Android",
     "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36"},
    {"Chrome on Android",
     "Mozilla/5.0 (Linux; Android 4.4.2; Nexus 5 Build/KOT49H) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
     "Chrome/30.0.0.0 Mobile Safari/537.36"},
    {"Chrome on Android",
     "Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/80.0 Mobile Safari/537.36"},
    {"Chrome on Android",
     "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/80.0 Mobile "
     "Safari/537.36"},
    {"Chrome on iOS", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                      "CriOS/124.0.6367.71 Mobile/15E148 Safari/604.1"},
    {"Chrome on iOS",
     "Mozilla/5.0 (iPad; CPU OS 7_0 like Mac OS X) AppleWebKit/537.51.1 (KHTML, like Gecko) CriOS/32.0.1700.21 "
     "Mobile/11A465 Safari/9537.53"},
    {"Edge on Windows",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 "
     "Edg/124.0.2478.51"},
    {"Edge on Windows",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 "
     "Safari/537.36 Edge/18.17763"},
    {"Edge on Windows",
     "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063"},
    {"Edge on macOS",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 "
     "Safari/537.36 Edg/124.0.0.0"},
    {"Edge on Android",
     "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.6367.82 Mobile "
     "Safari/537.36 EdgA/124.0.2478.50"},
    {"Edge on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 "
     "EdgiOS/124.0.2478.50 Mobile/15E148 Safari/605.1.15"},
    {"Opera on Windows",
     "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.107 Safari/537.36 "
     "OPR/19.0.1326.63"},
    {"Opera on Linux", "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16"},
    {"Opera on Windows", "Opera/9.64(Windows NT 5.1; U; en) Presto/2.1.1"},
    {"Opera on Windows", "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; en) Opera 10.00"},
    {"Opera on iOS", "Opera/9.80 (iPhone; Opera Mini/7.0.3/34.1244; U; de) Presto/2.8.119 Version/11.10"},
    {"Opera on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 9_3 like Mac OS X) AppleWebKit/601.1 (KHTML, like Gecko) OPiOS/14.0.0 "
     "Mobile/13E230 Safari/9537.53"},
    {"Opera on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 "
     "Mobile/15E148 Safari/604.1 OPT/4.2.0"},
    {"Opera on Android",
     "Mozilla/5.0 (Linux; Android 10; VOG-L29) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Mobile "
     "Safari/537.36 OPR/76.2.4027.73374"},
    {"Opera", "Opera/9.80 (MTK; Opera Mini/2.1199/34.1244; U; id) Presto/2.8.119 Version/11.10"},
    {"Samsung Internet on Android",
     "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-G991B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/24.0 "
     "Chrome/117.0.0.0 Mobile Safari/537.36"},
    {"Yandex Browser on Windows",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 "
     "YaBrowser/24.4.0.0 Safari/537.36"},
    {"Vivaldi on Linux",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/91.0.4472.114 Safari/537.36 "
     "Vivaldi/4.0.2312.36"},
    {"UC Browser on Android",
     "Mozilla/5.0 (Linux; U; Android 4.0.4; en-US; MT25i Build/6.1.1.B.1.54) AppleWebKit/534.31 (KHTML, like Gecko) "
     "UCBrowser/9.4.1.362 U3/0.8.0 Mobile Safari/534.31"},
    {"UC Browser", "UCWEB/2.0 (Java; U; MIDP-2.0; en-US; nokia5800) U2/1.0.0 UCBrowser/9.4.1.377 Mobile"},
    {"Amazon Silk on Android",
     "Mozilla/5.0 (Linux; U; en-us; KFAPWI Build/JDQ39) AppleWebKit/535.19 (KHTML, like Gecko) Silk/3.13 "
     "Safari/535.19 Silk-Accelerated=true"},
    {"Google App on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 7_0_4 like Mac OS X) AppleWebKit/536.26 (KHTML, like Gecko) GSA/3.2.1.25875 "
     "Mobile/11B554a Safari/8536.25"},
    {"Facebook on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/20A362 "
     "[FBAN/FBIOS;FBDV/iPhone13,2;FBMD/iPhone;FBSN/iOS;FBSV/16.0;FBSS/3;FBID/phone;FBLC/en_US;FBOP/5]"},
    {"Instagram on Android",
     "Instagram 4.2.7 Android (8/2.2.2; 240dpi; 480x800; HTC/verizon_wwe; ADR6400L; mecha; mecha; en_US)"},

    // Firefox and relatives.
    {"Firefox on Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0"},
    {"Firefox on macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:125.0) Gecko/20100101 Firefox/125.0"},
    {"Firefox on Linux", "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"},
    {"Firefox on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:24.0) Gecko/20140205 Firefox/24.0 Iceweasel/24.3.0"},
    {"Firefox on BSD", "Mozilla/5.0 (X11; NetBSD amd64; rv:24.0) Gecko/20131021 Firefox/24.0"},
    {"Firefox on Android", "Mozilla/5.0 (Android; Mobile; rv:27.0) Gecko/27.0 Firefox/27.0"},
    {"Firefox on Android", "Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 Firefox/125.0"},
    {"Firefox on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/125.0 "
     "Mobile/15E148 Safari/605.1.15"},
    {"Firefox", "Mozilla/5.0 Gecko/20100115 Firefox/3.6"},
    {"Firefox", "Firefox/27.0"},
    {"SeaMonkey on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:26.0) Gecko/20100101 Firefox/26.0 SeaMonkey/2.23"},

    // Safari, and what only says so.
    {"Safari on macOS",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
     "Safari/605.1.15"},
    {"Safari on Windows",
     "Mozilla/5.0 (Windows; U; Windows NT 6.1; en-US) AppleWebKit/533.19.4 (KHTML, like Gecko) Version/5.0.3 "
     "Safari/533.19.4"},
    {"Mobile Safari on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 "
     "Mobile/15E148 Safari/604.1"},
    {"Mobile Safari on iOS",
     "Mozilla/5.0 (iPad; CPU OS 7_0_4 like Mac OS X) AppleWebKit/537.51.1 (KHTML, like Gecko) Version/7.0 "
     "Mobile/11B554a Safari/9537.53"},
    {"Mobile Safari on iOS",
     "Mozilla/5.0 (iPod; CPU iPhone OS 6_1_5 like Mac OS X) AppleWebKit/536.26 (KHTML, like Gecko) Version/6.0 "
     "Mobile/10B400 Safari/8536.25"},
    {"Android Browser on Android",
     "Mozilla/5.0 (Linux; U; Android 4.3; es-es; GT-I9300 Build/JSS15J) AppleWebKit/534.30 (KHTML, like Gecko) "
     "Version/4.0 Mobile Safari/534.30"},
    {"Other on iOS",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 7_0_4 like Mac OS X) AppleWebKit/537.51.1 (KHTML, like Gecko) Mobile/11B554a"},
    {"Other on Linux",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.21 (KHTML, like Gecko) rekonq/2.4.2 Safari/537.21"},

    // Internet Explorer.
    {"Internet Explorer on Windows", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)"},
    {"Internet Explorer on Windows",
     "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; WOW64; Trident/5.0; chromeframe/19.0.1084.52)"},
    {"Internet Explorer on Windows", "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko"},
    {"Internet Explorer on Windows",
     "Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0; Touch; rv:11.0; IEMobile/11.0; NOKIA; "
     "Lumia 520) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537"},

    // Old, small and unknown.
    {"Lynx", "Lynx/2.8.7rel.2 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/1.0.1f"},
    {"Links on Windows", "Links (2.7; CYGWIN_NT-5.1 1.7.15(0.260/5/3) i686; GNU C 4.5.3; text)"},
    {"Links on BSD", "ELinks (0.4.3; NetBSD 3.0.2_PATCH sparc64; 141x19)"},
    {"w3m on Linux", "w3m/0.5.3 (Linux; Debian)"},
    {"Konqueror on BSD", "Mozilla/5.0 (compatible; Konqueror/4.1; OpenBSD) KHTML/4.1.4 (like Gecko)"},
    {"Other on Linux", "Midori/0.2 (X11; Linux; U; fr-fr) WebKit/531.2+"},
    {"Other on Android", "Dalvik/1.6.0 (Linux; U; Android 4.1.2; GT-I8190 Build/JZO54K)"},
    {"Other", "Mozilla/4.0 (compatible;)"},
    {"Other", "SAMSUNG-GT-E2232/1.0 Openwave/6.2.3 Profile/MIDP-2.0 Configuration/CLDC-1.1"},
    {"", ""},
    {"", "-"},
    {"", " \t"},
};

constexpr Case bots[] = {
    {"Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {"Googlebot", "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
                  "Chrome/124.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {"Googlebot",
     "Mozilla/5.0 (iPhone; CPU iPhone OS 6_0 like Mac OS X) AppleWebKit/536.26 (KHTML, like Gecko) Version/6.0 "
     "Mobile/10A5376e Safari/8536.25 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {"Googlebot", "Googlebot-Image/1.0"},
    {"AdsBot-Google", "AdsBot-Google (+http://www.google.com/adsbot.html)"},
    {"bingbot",
     "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) "
     "Chrome/116.0.1938.76 Safari/537.36"},
    {"msnbot", "msnbot-media/1.1 (+http://search.msn.com/msnbot.htm)"},
    {"BingPreview", "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b"},
    {"Yahoo! Slurp", "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)"},
    {"YandexBot", "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)"},
    {"Baiduspider", "Baiduspider-image+(+http://www.baidu.com/search/spider.htm)"},
    {"DuckDuckBot", "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)"},
    {"Applebot",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 "
     "Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)"},
    {"Mail.RU_Bot", "Mozilla/5.0 (compatible; Linux x86_64; Mail.RU_Bot/2.0; +http://go.mail.ru/help/robots)"},
    {"360Spider", "Mozilla/5.0 (Windows; U; Windows NT 5.1; zh-CN; )  Firefox/1.5.0.11; 360Spider"},
    {"Daum", "Mozilla/5.0 (compatible; MSIE or Firefox mutant; not on Windows server; + "
             "http://tab.search.daum.net/aboutWebSearch.html) Daumoa/3.0"},
    {"archive.org_bot", "Mozilla/5.0 (compatible; archive.org_bot +http://www.archive.org/details/archive.org_bot)"},
    {"GPTBot",
     "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"},
    {"ChatGPT-User",
     "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot"},
    {"ClaudeBot",
     "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)"},
    {"CCBot", "CCBot/2.0 (https://commoncrawl.org/faq/)"},
    {"PerplexityBot", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; PerplexityBot/1.0; "
                      "+https://perplexity.ai/perplexitybot)"},
    {"Bytespider",
     "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; "
     "Bytespider; spider-feedback@bytedance.com)"},
    {"Amazonbot",
     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_10_1) AppleWebKit/600.2.5 (KHTML, like Gecko) Version/8.0.2 "
     "Safari/600.2.5 (Amazonbot/0.1; +https://developer.amazon.com/support/amazonbot)"},
    {"Meta-ExternalAgent", "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)"},
    {"facebookexternalhit", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
    {"Twitterbot", "Twitterbot/1.0"},
    {"Slackbot", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {"LinkedInBot", "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)"},
    {"WhatsApp", "WhatsApp/2.23.20.0"},
    {"AhrefsBot", "Mozilla/5.0 (compatible; AhrefsBot/5.0; +http://ahrefs.com/robot/)"},
    {"MJ12bot", "Mozilla/5.0 (compatible; MJ12bot/v1.4.4; http://www.majestic12.co.uk/bot.php?+)"},
    {"SemrushBot", "Mozilla/5.0 (compatible; SemrushBot-BA; +http://www.semrush.com/bot.html)"},
    {"UniversalFeedParser", "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/"},
    {"Tiny Tiny RSS", "Tiny Tiny RSS/1.11 (http://tt-rss.org/)"},
    {"Feedly", "Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)"},
    {"FeedFetcher-Google",
     "Feedfetcher-Google; (+http://www.google.com/feedfetcher.html; 22 subscribers; feed-id=8321906634162087507)"},
    {"Feedbin", "Feedbin - 1 subscribers"},
    {"UptimeRobot", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"},
    {"Pingdom", "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)"},
    {"HeadlessChrome",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/124.0.0.0 Safari/537.36"},
    {"PhantomJS",
     "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/534.34 (KHTML, like Gecko) PhantomJS/1.9.2 Safari/534.34"},
    {"curl", "curl/8.4.0"},
    {"Wget", "Wget/1.14 (linux-gnu)"},
    {"python-requests", "python-requests/2.31.0"},
    {"Python", "Python/3.11 aiohttp/3.9.1"},
    {"Python-urllib", "Python-urllib/2.7"},
    {"Go-http-client", "Go-http-client/1.1"},
    {"Java", "Java/1.8.0_202"},
    {"okhttp", "okhttp/4.9.0"},
    {"libwww-perl", "LWP::Simple/5.835 libwww-perl/5.834"},
    {"Ruby", "Ruby"},

    {"Other bot", "magpie-crawlers/1.1; crawler of nobody you know"},
    {"Other bot", "Mozilla/5.0 (compatible; BeetleBot; )"},
    {"Other bot", "LumiBot-v2 (Linux; nobody)"},
    {"Other bot", "eZ Publish Link Validator"},
    {"Other bot", "Mozilla/5.0 (compatible; Genieo/1.0 http://www.genieo.com/webfilter.html)"},
    {"Other bot", "Superblock-Denim (support@superblock.net)"},
    {"Other bot", "Mozilla/5.0 (Windows NT 6.1; rv:6.0) Gecko/20110814 Firefox/6.0 Google favicon"},
    {"Other bot", "portscout/0.8.1"},
    {"Other bot", "Mozilla/5.0"},
};

/// Is this view a static text, and one of those that are promised?
auto is_of_closed_set(User_Agent const& result, std::string const& header) -> bool {
    std::less<> const before;
    auto const* text = result.normalised.data();
    bool const borrowed = !before(text, header.data()) && before(text, header.data() + header.size());
    return !borrowed && is_normalised_user_agent(result.normalised);
}

} // namespace

TEST_SUITE("namespaces/analytics/user_agent") {
    TEST_CASE("browsers are named with their system") {
        for (auto const& each : browsers) {
            CAPTURE(each.header);
            auto const result = classify_user_agent(each.header);
            CHECK(result.normalised == each.expected);
            CHECK_FALSE(result.bot);
        }
    }

    TEST_CASE("bots are named without their system and marked") {
        for (auto const& each : bots) {
            CAPTURE(each.header);
            auto const result = classify_user_agent(each.header);
            CHECK(result.normalised == each.expected);
            CHECK(result.bot);
        }
    }

    TEST_CASE("what a URL says is not about the client") {
        CHECK(classify_user_agent("Tool (https://feeds.example/Googlebot) x").normalised == "Other bot");
        CHECK(classify_user_agent("Tool www.windows.firefox.example").normalised == "Other bot");
    }

    TEST_CASE("the case of letters does not matter") {
        CHECK(classify_user_agent("MOZILLA/5.0 (WINDOWS NT 10.0) FIREFOX/1.0").normalised == "Firefox on Windows");
        CHECK(classify_user_agent("mozilla/5.0 (compatible; GOOGLEBOT/2.1)").normalised == "Googlebot");
    }

    TEST_CASE("the texts that may be stored are known, and a header is not one of them") {
        for (std::string_view const good :
             {"", "Other", "Other bot", "Chrome on Windows", "Firefox", "Googlebot", "curl"})
            CHECK(is_normalised_user_agent(good));
        for (std::string_view const bad :
             {"Chrome/124.0", "chrome on windows", "Chrome on ", " on Windows", "Chrome on Windows ", "-"})
            CHECK_FALSE(is_normalised_user_agent(bad));
        for (auto const& [expected, header] : browsers)
            CHECK(is_normalised_user_agent(header) == header.empty());
        for (auto const& [expected, header] : bots)
            CHECK(is_normalised_user_agent(header) == (header == expected));
    }

    TEST_CASE("every text of any length gives one of the closed set") {
        std::uint32_t const seed = 20150517;
        CAPTURE(seed);
        std::mt19937 random(seed);
        std::set<std::string_view> seen;
        auto const check = [&](std::string const& header) {
            auto const result = classify_user_agent(header);
            seen.insert(result.normalised);
            if (!is_of_closed_set(result, header)) {
                CAPTURE(header);
                FAIL_CHECK("not of the closed set");
            }
        };
        // Real headers cut and glued at random places: far likelier than noise to reach odd corners.
        auto const piece = [&] {
            auto const n = random() % (std::size(browsers) + std::size(bots));
            auto const header = n < std::size(browsers) ? browsers[n].header : bots[n - std::size(browsers)].header;
            auto const from = random() % (header.size() + 1);
            return std::string(header.substr(from, random() % 60));
        };
        for (int i = 0; i < 20'000; ++i) {
            std::string header = piece() + piece() + piece();
            if (!header.empty() && i % 2 == 0)
                header[random() % header.size()] = static_cast<char>(random() % 256);
            check(header);
        }
        for (int i = 0; i < 20'000; ++i) {
            std::string header(random() % 200, ' ');
            for (char& c : header)
                c = static_cast<char>(random() % 256);
            check(header);
        }
        CHECK(seen.size() > 100);

        for (std::string_view const unit :
             {"a", "bot", " ", "-", "Chrome/1 ", "http://", "@", "(", "\xff", "x@y ", "."}) {
            std::string header;
            while (header.size() < 100'000)
                header += unit;
            check(header);
        }
    }

    TEST_CASE("only the first 1024 bytes are read") {
        std::string const padding(1024, ' ');
        CHECK(classify_user_agent("Mozilla/5.0 (X11; Linux) Firefox/1.0" + padding + "Googlebot").normalised ==
              "Firefox on Linux");
    }
}
