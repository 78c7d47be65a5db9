// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/analytics/user_agent.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace memfs_cache {
namespace {

constexpr std::size_t max_header_bytes = 1024;
constexpr std::string_view other_bot = "Other bot";

/// Families, the more special later: the last of those that a header names is the one meant.
enum class Family : std::uint8_t {
    other,
    safari,
    firefox,
    chrome,
    internet_explorer,
    amazon_silk,
    google_app,
    facebook,
    instagram,
    duckduckgo,
    konqueror,
    seamonkey,
    uc_browser,
    qq_browser,
    miui_browser,
    huawei_browser,
    yandex_browser,
    whale,
    vivaldi,
    samsung_internet,
    opera,
    edge,
    lynx,
    links,
    w3m,
    // Never named by a header: what Safari means on a phone.
    mobile_safari,
    android_browser,
    count,
};

constexpr std::array<std::string_view, static_cast<std::size_t>(Family::count)> family_names{
    "Other",          "Safari",         "Firefox",    "Chrome",     "Internet Explorer",
    "Amazon Silk",    "Google App",     "Facebook",   "Instagram",  "DuckDuckGo",
    "Konqueror",      "SeaMonkey",      "UC Browser", "QQ Browser", "MIUI Browser",
    "Huawei Browser", "Yandex Browser", "Whale",      "Vivaldi",    "Samsung Internet",
    "Opera",          "Edge",           "Lynx",       "Links",      "w3m",
    "Mobile Safari",  "Android Browser"};

/// Systems, again the more special later: Android says Linux, an iPhone says Mac OS X, Windows phones say both.
enum class System : std::uint8_t { unknown, linux_, bsd, macos, chromeos, android, ios, windows, count };

constexpr std::array<std::string_view, static_cast<std::size_t>(System::count)> system_names{
    "", "Linux", "BSD", "macOS", "ChromeOS", "Android", "iOS", "Windows"};

/// "Family on System", put together by the compiler.
struct Label {
    std::array<char, 32> text{};
    std::size_t size = 0;

    constexpr void append(std::string_view part) {
        for (char const c : part)
            text[size++] = c;
    }
    [[nodiscard]] constexpr auto view() const noexcept -> std::string_view { return {text.data(), size}; }
};

constexpr auto labels = [] {
    std::array<std::array<Label, system_names.size()>, family_names.size()> made{};
    for (std::size_t family = 0; family < family_names.size(); ++family) {
        for (std::size_t system = 0; system < system_names.size(); ++system) {
            auto& label = made[family][system];
            label.append(family_names[family]);
            if (system != 0) {
                label.append(" on ");
                label.append(system_names[system]);
            }
        }
    }
    return made;
}();

auto label_of(Family family, System system) noexcept -> std::string_view {
    return labels[static_cast<std::size_t>(family)][static_cast<std::size_t>(system)].view();
}

/// Words (letters, digits, '-', '_', '.') that say something, in lower case, and what they say.
struct Mark {
    std::string_view word;
    Family family = Family::other;
    System system = System::unknown;
    std::string_view bot = {};
    bool only_first = false; ///< counts only as the first word of the header
};

constexpr auto browser(std::string_view word, Family family) -> Mark { return {word, family}; }
constexpr auto platform(std::string_view word, System system) -> Mark { return {word, Family::other, system}; }
constexpr auto robot(std::string_view word, std::string_view name) -> Mark {
    return {word, Family::other, System::unknown, name};
}
/// Libraries and tools begin with their name; further on the same words say other things: (Java; U; MIDP-2.0).
constexpr auto tool(std::string_view word, std::string_view name) -> Mark {
    return {word, Family::other, System::unknown, name, true};
}
/// A word that only looks like one that says something.
constexpr auto harmless(std::string_view word) -> Mark { return {word}; }

constexpr Mark marks[] = {
    platform("windows", System::windows), platform("win32", System::windows), platform("win64", System::windows),
    platform("cygwin", System::windows), platform("iphone", System::ios), platform("ipad", System::ios),
    platform("ipod", System::ios), platform("ios", System::ios), platform("android", System::android),
    platform("cros", System::chromeos), platform("macintosh", System::macos), platform("mac", System::macos),
    platform("macos", System::macos), platform("freebsd", System::bsd), platform("openbsd", System::bsd),
    platform("netbsd", System::bsd), platform("dragonfly", System::bsd), platform("linux", System::linux_),
    platform("ubuntu", System::linux_), platform("debian", System::linux_), platform("fedora", System::linux_),

    browser("safari", Family::safari), browser("firefox", Family::firefox), browser("fxios", Family::firefox),
    browser("focus", Family::firefox), browser("iceweasel", Family::firefox), browser("icecat", Family::firefox),
    browser("chrome", Family::chrome), browser("chromium", Family::chrome), browser("crios", Family::chrome),
    browser("msie", Family::internet_explorer), browser("trident", Family::internet_explorer),
    browser("iemobile", Family::internet_explorer), browser("gsa", Family::google_app),
    browser("fban", Family::facebook), browser("fbav", Family::facebook), browser("fb_iab", Family::facebook),
    browser("instagram", Family::instagram), browser("duckduckgo", Family::duckduckgo),
    browser("ddg", Family::duckduckgo), browser("konqueror", Family::konqueror),
    browser("seamonkey", Family::seamonkey), browser("ucbrowser", Family::uc_browser),
    browser("ucweb", Family::uc_browser), browser("qqbrowser", Family::qq_browser),
    browser("mqqbrowser", Family::qq_browser), browser("miuibrowser", Family::miui_browser),
    browser("huaweibrowser", Family::huawei_browser), browser("yabrowser", Family::yandex_browser),
    browser("whale", Family::whale), browser("vivaldi", Family::vivaldi),
    browser("samsungbrowser", Family::samsung_internet), browser("opera", Family::opera), browser("opr", Family::opera),
    browser("opios", Family::opera), browser("opt", Family::opera), browser("opx", Family::opera),
    browser("edge", Family::edge), browser("edg", Family::edge), browser("edga", Family::edge),
    browser("edgios", Family::edge), browser("lynx", Family::lynx), browser("links", Family::links),
    browser("elinks", Family::links), browser("w3m", Family::w3m),
    Mark{"silk", Family::amazon_silk, System::android}, // older ones say only Linux

    // Search engines.
    robot("googlebot", "Googlebot"), robot("adsbot-google", "AdsBot-Google"),
    robot("adsbot-google-mobile", "AdsBot-Google"), robot("mediapartners-google", "Mediapartners-Google"),
    robot("apis-google", "APIs-Google"), robot("storebot-google", "Storebot-Google"),
    robot("googleother", "GoogleOther"), robot("google-inspectiontool", "Google-InspectionTool"),
    robot("google-read-aloud", "Google-Read-Aloud"), robot("google-site-verification", "Google-Site-Verification"),
    robot("google-extended", "Google-Extended"), robot("google-cloudvertexbot", "Google-CloudVertexBot"),
    robot("googleimageproxy", "GoogleImageProxy"), robot("appengine-google", "AppEngine-Google"),
    robot("chrome-lighthouse", "Chrome-Lighthouse"), robot("bingbot", "bingbot"), robot("adidxbot", "adidxbot"),
    robot("bingpreview", "BingPreview"), robot("msnbot", "msnbot"), robot("slurp", "Yahoo! Slurp"),
    robot("duckduckbot", "DuckDuckBot"), robot("duckassistbot", "DuckAssistBot"), robot("baiduspider", "Baiduspider"),
    robot("yandexbot", "YandexBot"), robot("yandeximages", "YandexBot"), robot("yandexmobilebot", "YandexBot"),
    robot("yandexrenderresourcesbot", "YandexBot"), robot("yandexmetrika", "YandexMetrika"), robot("sogou", "Sogou"),
    robot("exabot", "Exabot"), robot("seznambot", "SeznamBot"), robot("yeti", "Yeti"), robot("daum", "Daum"),
    robot("daumoa", "Daum"), robot("petalbot", "PetalBot"), robot("mojeekbot", "MojeekBot"),
    robot("qwantify", "Qwantify"), robot("qwantbot", "Qwantify"), robot("coccocbot", "coccocbot"),
    robot("mail.ru_bot", "Mail.RU_Bot"), robot("360spider", "360Spider"), robot("yisouspider", "YisouSpider"),
    robot("easouspider", "EasouSpider"), robot("applebot", "Applebot"), robot("amazonbot", "Amazonbot"),
    robot("archive.org_bot", "archive.org_bot"), robot("ia_archiver", "ia_archiver"), robot("heritrix", "Heritrix"),
    robot("nutch", "Nutch"),

    // AI crawlers and assistants.
    robot("gptbot", "GPTBot"), robot("chatgpt-user", "ChatGPT-User"), robot("oai-searchbot", "OAI-SearchBot"),
    robot("claudebot", "ClaudeBot"), robot("claude-web", "Claude-Web"), robot("claude-user", "Claude-User"),
    robot("claude-searchbot", "Claude-SearchBot"), robot("anthropic-ai", "anthropic-ai"), robot("ccbot", "CCBot"),
    robot("perplexitybot", "PerplexityBot"), robot("perplexity-user", "Perplexity-User"),
    robot("bytespider", "Bytespider"), robot("tiktokspider", "TikTokSpider"),
    robot("meta-externalagent", "Meta-ExternalAgent"), robot("meta-externalfetcher", "Meta-ExternalFetcher"),
    robot("facebookbot", "FacebookBot"), robot("mistralai-user", "MistralAI-User"), robot("cohere-ai", "cohere-ai"),
    robot("diffbot", "Diffbot"), robot("youbot", "YouBot"), robot("timpibot", "Timpibot"), robot("omgili", "omgili"),
    robot("omgilibot", "omgili"), robot("imagesiftbot", "ImagesiftBot"), robot("ai2bot", "AI2Bot"),
    robot("img2dataset", "img2dataset"),

    // Previews of shared links.
    robot("facebookexternalhit", "facebookexternalhit"), robot("facebookcatalog", "facebookcatalog"),
    robot("facebot", "Facebot"), robot("twitterbot", "Twitterbot"), robot("linkedinbot", "LinkedInBot"),
    robot("pinterestbot", "Pinterestbot"), robot("slackbot", "Slackbot"), robot("slack-imgproxy", "Slackbot"),
    robot("telegrambot", "TelegramBot"), robot("whatsapp", "WhatsApp"), robot("discordbot", "Discordbot"),
    robot("redditbot", "redditbot"), robot("skypeuripreview", "SkypeUriPreview"), robot("embedly", "Embedly"),
    robot("iframely", "Iframely"), robot("flipboardproxy", "Flipboard"), robot("flipboardrss", "Flipboard"),
    robot("vkshare", "vkShare"), robot("mastodon", "Mastodon"),

    // Search engine optimisation and surveys of the web.
    robot("ahrefsbot", "AhrefsBot"), robot("ahrefssiteaudit", "AhrefsSiteAudit"), robot("semrushbot", "SemrushBot"),
    robot("mj12bot", "MJ12bot"), robot("dotbot", "DotBot"), robot("rogerbot", "rogerbot"), robot("ezooms", "Ezooms"),
    robot("blexbot", "BLEXBot"), robot("serpstatbot", "serpstatbot"), robot("dataforseobot", "DataForSeoBot"),
    robot("siteexplorer", "SiteExplorer"), robot("screaming", "Screaming Frog"), robot("spinn3r", "Spinn3r"),
    robot("magpie-crawler", "magpie-crawler"), robot("censysinspect", "CensysInspect"),
    robot("internetmeasurement", "InternetMeasurement"), robot("expanse", "Expanse"), robot("zgrab", "zgrab"),
    robot("masscan", "masscan"), robot("nmap", "Nmap"), robot("nikto", "Nikto"), robot("sqlmap", "sqlmap"),
    robot("nuclei", "Nuclei"), robot("wpscan", "WPScan"),

    // Feed readers.
    robot("universalfeedparser", "UniversalFeedParser"), robot("feedparser", "UniversalFeedParser"),
    robot("feedburner", "FeedBurner"), robot("feedfetcher-google", "FeedFetcher-Google"), robot("feedly", "Feedly"),
    robot("feedbin", "Feedbin"), robot("feeddemon", "FeedDemon"), tool("tiny", "Tiny Tiny RSS"),
    robot("newsblur", "NewsBlur"), robot("inoreader", "Inoreader"), robot("inoreader.com", "Inoreader"),
    robot("theoldreader.com", "The Old Reader"), robot("freshrss", "FreshRSS"), robot("netnewswire", "NetNewsWire"),
    robot("miniflux", "Miniflux"), robot("commafeed", "CommaFeed"), robot("nextcloud-news", "Nextcloud-News"),
    robot("newsboat", "Newsboat"), robot("newsbeuter", "Newsbeuter"), robot("liferea", "Liferea"),
    robot("akregator", "Akregator"), tool("digg", "Digg Feed Fetcher"), robot("livejournal.com", "LiveJournal"),
    robot("superfeedr", "Superfeedr"), robot("bloglovin", "Bloglovin"),

    // Monitors and test browsers.
    robot("uptimerobot", "UptimeRobot"), robot("pingdom", "Pingdom"), robot("pingdom.com_bot_version_1.4_", "Pingdom"),
    robot("pingdompagespeed", "Pingdom"), robot("statuscake", "StatusCake"), robot("site24x7", "Site24x7"),
    robot("newrelicpinger", "NewRelicPinger"), robot("datadogsynthetics", "Datadog"), robot("datadog", "Datadog"),
    robot("betteruptime", "Better Uptime"), robot("hetrixtools", "HetrixTools"), robot("jetmon", "jetmon"),
    robot("updown.io", "updown.io"), robot("check_http", "Nagios"), robot("zabbix", "Zabbix"),
    robot("prometheus", "Prometheus"), robot("kube-probe", "kube-probe"),
    robot("elb-healthchecker", "ELB-HealthChecker"), robot("googlehc", "GoogleHC"), robot("gtmetrix", "GTmetrix"),
    robot("ptst", "WebPageTest"), robot("headlesschrome", "HeadlessChrome"), robot("phantomjs", "PhantomJS"),
    robot("puppeteer", "Puppeteer"), robot("playwright", "Playwright"), robot("selenium", "Selenium"),
    robot("jsdom", "jsdom"),

    // Libraries and command lines.
    tool("curl", "curl"), tool("libcurl", "curl"), tool("pycurl", "curl"), tool("wget", "Wget"), tool("wget2", "Wget"),
    tool("aria2", "aria2"), tool("libwww-perl", "libwww-perl"), tool("lwp", "libwww-perl"),
    tool("lwp-trivial", "libwww-perl"), robot("libfetch", "libfetch"), tool("python", "Python"),
    tool("python-requests", "python-requests"), tool("python-httpx", "python-httpx"),
    tool("python-urllib", "Python-urllib"), tool("python-urllib3", "Python-urllib"), tool("aiohttp", "aiohttp"),
    robot("scrapy", "Scrapy"), tool("go-http-client", "Go-http-client"), tool("fasthttp", "fasthttp"),
    tool("colly", "colly"), tool("java", "Java"), tool("jakarta", "Apache-HttpClient"),
    tool("apache-httpclient", "Apache-HttpClient"), tool("okhttp", "okhttp"), tool("ktor-client", "ktor-client"),
    tool("dart", "Dart"), tool("axios", "axios"), tool("node", "Node.js"), tool("node-fetch", "node-fetch"),
    tool("undici", "undici"), tool("got", "got"), tool("deno", "Deno"), tool("bun", "Bun"), tool("php", "PHP"),
    tool("guzzlehttp", "GuzzleHttp"), robot("http_request2", "HTTP_Request2"), tool("ruby", "Ruby"),
    tool("faraday", "Faraday"), tool("rest-client", "rest-client"), robot("mechanize", "Mechanize"),
    tool("reqwest", "reqwest"), tool("restsharp", "RestSharp"), tool("winhttp", "WinHttp"),
    robot("indy", "Indy Library"), tool("postmanruntime", "PostmanRuntime"), tool("insomnia", "insomnia"),
    tool("httpie", "HTTPie"), tool("k6", "k6"), tool("apachebench", "ApacheBench"), tool("git", "git"),

    robot("xenu", "Xenu"),

    robot("favicon", other_bot),
    harmless("cubot"), // a maker of phones
};

/// Ends of words that only robots have.
constexpr auto robot_endings = std::to_array<std::string_view>({"bot", "bots", "spider", "crawler", "crawl", "scraper",
                                                                "fetcher", "monitor", "checker", "scanner", "validator",
                                                                "archiver", "indexer", "preview", "parser", "rss"});

/// For each byte of a word its small letter, for every other byte 0.
constexpr auto word_bytes = [] {
    std::array<char, 256> folded{};
    for (int i = 0; i < 128; ++i) {
        auto const c = static_cast<char>(i);
        if (is_ascii_letter(c) || is_ascii_digit(c) || c == '-' || c == '_' || c == '.')
            folded[static_cast<std::size_t>(i)] = ascii_lower(c);
    }
    return folded;
}();

constexpr auto fold(char c) noexcept -> char { return word_bytes[static_cast<unsigned char>(c)]; }

/// A hash table of the marks, filled by the compiler: open addressing, three quarters empty, so that most words of a
/// header that say nothing end at an empty slot after a look at four of their characters.
class Mark_Table {
  public:
    constexpr Mark_Table() {
        for (std::size_t i = 0; i < std::size(marks); ++i) {
            auto slot = slot_of(marks[i].word);
            while (slots_[slot] != 0)
                slot = (slot + 1) % slots_.size();
            slots_[slot] = static_cast<std::uint16_t>(i + 1);
        }
    }

    /// @param  word  not empty, in any case
    [[nodiscard]] auto find(std::string_view word) const noexcept -> Mark const* {
        for (auto slot = slot_of(word); slots_[slot] != 0; slot = (slot + 1) % slots_.size()) {
            auto const& mark = marks[slots_[slot] - 1U];
            if (equals_lower(word, mark.word))
                return &mark;
        }
        return nullptr;
    }

  private:
    static constexpr auto slot_of(std::string_view word) noexcept -> std::size_t {
        auto const at = [&](std::size_t i) {
            return static_cast<std::size_t>(static_cast<unsigned char>(fold(word[i])));
        };
        auto const size = word.size();
        return (size * 131 + at(0) * 31 + at(size / 3) * 73 + at(size / 2) * 193 + at(size - 1) * 7) % 1024;
    }

    std::array<std::uint16_t, 1024> slots_{}; ///< index of a mark plus one; 0 for none
};

constexpr Mark_Table mark_table;
constexpr Mark unnamed_robot = robot("", other_bot);

/// The last letters of those: most words end in another one.
constexpr auto robot_last_letters = [] {
    std::array<bool, 256> last{};
    for (auto const ending : robot_endings)
        last[static_cast<unsigned char>(ending.back())] = true;
    return last;
}();

auto has_robot_ending(std::string_view word) noexcept -> bool {
    return robot_last_letters[static_cast<unsigned char>(fold(word.back()))] &&
           std::any_of(robot_endings.begin(), robot_endings.end(),
                       [word](std::string_view ending) { return ends_with_lower(word, ending); });
}

/// What a word says: as a whole, else what its part before the first '-', '_' or '.' says (Googlebot-Image).
auto mark_of(std::string_view word) noexcept -> Mark const* {
    if (is_ascii_digit(word.front()) && is_ascii_digit(word.back()))
        return nullptr; // a version, the most frequent word of all
    if (auto const* whole = mark_table.find(word))
        return whole;
    auto const stem_end =
        std::find_if(word.begin(), word.end(), [](char c) { return c == '-' || c == '_' || c == '.'; });
    std::string_view const stem(word.begin(), stem_end);
    if (stem.size() < word.size() && !stem.empty()) {
        if (auto const* mark = mark_table.find(stem))
            return mark;
        if (has_robot_ending(stem))
            return &unnamed_robot;
    }
    return has_robot_ending(word) ? &unnamed_robot : nullptr;
}

/// The family that is meant where a header names Safari: nearly every browser does, on every system.
auto plain_safari(System system) noexcept -> Family {
    switch (system) {
    case System::ios:
        return Family::mobile_safari;
    case System::android:
        return Family::android_browser;
    case System::macos:
    case System::windows:
    case System::unknown:
        return Family::safari;
    default:
        return Family::other; // there is no Safari for it: one of the small browsers on WebKit
    }
}

/// Does a URL begin at `at`, the start of a word that ends at `end`?
auto is_url(std::string_view header, std::size_t at, std::size_t end) noexcept -> bool {
    auto const word = header.substr(at, end - at);
    return starts_with_lower(word, "www.") ||
           ((equals_lower(word, "http") || equals_lower(word, "https")) && header.substr(end).starts_with("://"));
}

} // namespace

auto classify_user_agent(std::string_view header) noexcept -> User_Agent {
    header = trim_blanks(header.substr(0, max_header_bytes));
    if (header.empty() || header == "-")
        return {"", false};

    auto family = Family::other;
    auto system = System::unknown;
    bool unnamed_bot = false;
    bool bare = true; // one product and nothing else
    for (std::size_t at = 0; at < header.size();) {
        if (fold(header[at]) == 0) {
            bare = bare && header[at] != ' ' && header[at] != '(';
            // A mail address: a word on either side of the '@'.
            unnamed_bot = unnamed_bot || (header[at] == '@' && at > 0 && at + 1 < header.size() &&
                                          fold(header[at - 1]) != 0 && fold(header[at + 1]) != 0);
            ++at;
            continue;
        }
        auto end = at + 1;
        while (end < header.size() && fold(header[end]) != 0)
            ++end;
        if (is_url(header, at, end)) {
            unnamed_bot = true;
            // What a path says is not about the client: http://feeds.example/fetcher.html
            end = std::min(header.find_first_of(" ;,)", end), header.size());
        } else if (auto const* mark = mark_of(header.substr(at, end - at)); mark && (at == 0 || !mark->only_first)) {
            if (!mark->bot.empty() && mark->bot != other_bot)
                return {mark->bot, true};
            unnamed_bot = unnamed_bot || !mark->bot.empty();
            family = std::max(family, mark->family);
            system = std::max(system, mark->system);
        }
        at = end;
    }
    if (unnamed_bot || (bare && family == Family::other))
        return {other_bot, true};
    return {label_of(family == Family::safari ? plain_safari(system) : family, system), false};
}

User_Agent_Cache::User_Agent_Cache() noexcept { fill_random(key_.data(), key_.size()); }

auto User_Agent_Cache::classify(std::string_view header) noexcept -> User_Agent {
    // All texts that are given out are static, so an answer is the address of one, its length and a flag.
    constexpr unsigned size_at = 48;
    constexpr unsigned bot_at = 63;
    header = header.substr(0, max_header_bytes);
    auto const hash = siphash13(key_, header);
    auto& entry = entries_[hash % entries_.size()];
    // Two threads may write the halves of an entry in turn. Halves that do not belong together do not give the hash.
    if (auto const answer = entry.answer.load(std::memory_order_relaxed);
        answer != 0 && (entry.check.load(std::memory_order_relaxed) ^ answer) == hash) {
        auto const* const text = reinterpret_cast<char const*>(answer & ((std::uint64_t{1} << size_at) - 1));
        return {{text, answer >> size_at & 0x7f}, answer >> bot_at != 0};
    }
    auto const agent = classify_user_agent(header);
    auto const address = reinterpret_cast<std::uintptr_t>(agent.normalised.data());
    if (address >> size_at == 0 && agent.normalised.size() <= 0x7f) {
        auto const answer = std::uint64_t{address} | std::uint64_t{agent.normalised.size()} << size_at |
                            std::uint64_t{agent.bot} << bot_at;
        entry.answer.store(answer, std::memory_order_relaxed);
        entry.check.store(hash ^ answer, std::memory_order_relaxed);
    }
    return agent;
}

auto is_normalised_user_agent(std::string_view text) noexcept -> bool {
    if (text.empty() || text == other_bot)
        return true;
    for (auto const& of_family : labels) {
        for (auto const& label : of_family) {
            if (label.view() == text)
                return true;
        }
    }
    return std::any_of(std::begin(marks), std::end(marks), [text](Mark const& mark) { return mark.bot == text; });
}

} // namespace memfs_cache
