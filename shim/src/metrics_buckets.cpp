// SPDX-License-Identifier: Apache-2.0
// What a histogram needs to find a value's bucket, made once an instrument.
#include <cstdio>
#include <cstring>

#include "environment.hpp"
#include "metrics.hpp"

namespace tailrace::shim {
namespace {

constexpr std::uint32_t kBoundsMax = 500;  // as an entry of the strings
constexpr std::uint32_t kBucketsMax = 8192;
constexpr unsigned kScaleMax = 8;
constexpr std::uint32_t kShardAlign = 8;  // words: shards of different lanes share no cache line
constexpr double kStandard[] = {0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000};

// floor(2^52 × (2^(j / 256) - 1)), exact: no mantissa lies between the true threshold and this.
constexpr std::uint64_t kThresholds[1u << kScaleMax] = {
    0x0000000000000ull, 0x00b1afa5abcbeull, 0x0163da9fb3335ull, 0x02168143b0280ull, 0x02c9a3e778060ull,
    0x037d42e11bbccull, 0x04315e86e7f84ull, 0x04e5f72f654b1ull, 0x059b0d3158574ull, 0x0650a0e3c1f88ull,
    0x0706b29ddf6ddull, 0x07bd42b72a836ull, 0x0874518759bc8ull, 0x092bdf66607dfull, 0x09e3ecac6f383ull,
    0x0a9c79b1f3919ull, 0x0b5586cf9890full, 0x0c0f145e46c85ull, 0x0cc922b7247f7ull, 0x0d83b23395debull,
    0x0e3ec32d3d1a2ull, 0x0efa55fdfa9c4ull, 0x0fb66affed31aull, 0x1073028d7233eull, 0x11301d0125b50ull,
    0x11edbab5e2ab5ull, 0x12abdc06c31cbull, 0x136a814f204aaull, 0x1429aaea92ddfull, 0x14e95934f312dull,
    0x15a98c8a58e51ull, 0x166a45471c3c2ull, 0x172b83c7d517aull, 0x17ed48695bbc0ull, 0x18af9388c8de9ull,
    0x1972658375d2full, 0x1a35beb6fcb75ull, 0x1af99f8138a1cull, 0x1bbe084045cd3ull, 0x1c82f95281c6bull,
    0x1d4873168b9aaull, 0x1e0e75eb44026ull, 0x1ed5022fcd91cull, 0x1f9c18438ce4cull, 0x2063b88628cd6ull,
    0x212be3578a819ull, 0x21f49917ddc96ull, 0x22bdda27912d1ull, 0x2387a6e756238ull, 0x2451ffb82140aull,
    0x251ce4fb2a63full, 0x25e85711ece75ull, 0x26b4565e27cddull, 0x2780e341ddf29ull, 0x284dfe1f56380ull,
    0x291ba7591bb6full, 0x29e9df51fdee1ull, 0x2ab8a66d10f12ull, 0x2b87fd0dad98full, 0x2c57e39771b2eull,
    0x2d285a6e4030bull, 0x2df961f641589ull, 0x2ecafa93e2f56ull, 0x2f9d24abd886aull, 0x306fe0a31b715ull,
    0x31432edeeb2fdull, 0x32170fc4cd831ull, 0x32eb83ba8ea31ull, 0x33c08b26416ffull, 0x3496266e3fa2cull,
    0x356c55f929ff0ull, 0x36431a2de883aull, 0x371a7373aa9caull, 0x37f26231e7549ull, 0x38cae6d05d865ull,
    0x39a401b7140eeull, 0x3a7db34e59ff6ull, 0x3b57fbfec6cf4ull, 0x3c32dc313a8e4ull, 0x3d0e544ede173ull,
    0x3dea64c123422ull, 0x3ec70df1c5174ull, 0x3fa4504ac801bull, 0x40822c367a024ull, 0x4160a21f72e29ull,
    0x423fb27094689ull, 0x431f5d950a896ull, 0x43ffa3f84b9d4ull, 0x44e086061892dull, 0x45c2042a7d231ull,
    0x46a41ed1d0057ull, 0x4786d668b3236ull, 0x486a2b5c13cd0ull, 0x494e1e192aed1ull, 0x4a32af0d7d3deull,
    0x4b17dea6db7d6ull, 0x4bfdad5362a27ull, 0x4ce41b817c114ull, 0x4dcb299fddd0dull, 0x4eb2d81d8abfeull,
    0x4f9b2769d2ca6ull, 0x508417f4531eeull, 0x516daa2cf6641ull, 0x5257de83f4eeeull, 0x5342b569d4f81ull,
    0x542e2f4f6ad27ull, 0x551a4ca5d920eull, 0x56070dde910d1ull, 0x56f4736b527daull, 0x57e27dbe2c4ceull,
    0x58d12d497c7fdull, 0x59c0827ff07cbull, 0x5ab07dd485429ull, 0x5ba11fba87a02ull, 0x5c9268a5946b7ull,
    0x5d84590998b92ull, 0x5e76f15ad2148ull, 0x5f6a320dceb70ull, 0x605e1b976dc08ull, 0x6152ae6cdf6f4ull,
    0x6247eb03a5584ull, 0x633dd1d1929fdull, 0x6434634ccc31full, 0x652b9febc8fb6ull, 0x6623882552224ull,
    0x671c1c70833f5ull, 0x68155d44ca973ull, 0x690f4b19e9538ull, 0x6a09e667f3bccull, 0x6b052fa75173eull,
    0x6c012750bdabeull, 0x6cfdcddd47645ull, 0x6dfb23c651a2eull, 0x6ef9298593ae4ull, 0x6ff7df9519483ull,
    0x70f7466f42e87ull, 0x71f75e8ec5f73ull, 0x72f8286ead089ull, 0x73f9a48a58173ull, 0x74fbd35d7cbfdull,
    0x75feb564267c8ull, 0x77024b1ab6e09ull, 0x780694fde5d3full, 0x790b938ac1cf6ull, 0x7a11473eb0186ull,
    0x7b17b0976cfdaull, 0x7c1ed0130c132ull, 0x7d26a62ff86f0ull, 0x7e2f336cf4e62ull, 0x7f3878491c490ull,
    0x80427543e1a11ull, 0x814d2add106d9ull, 0x82589994cce12ull, 0x8364c1eb941f7ull, 0x8471a4623c7acull,
    0x857f4179f5b20ull, 0x868d99b4492ecull, 0x879cad931a436ull, 0x88ac7d98a6699ull, 0x89bd0a478580full,
    0x8ace5422aa0dbull, 0x8be05bad61778ull, 0x8cf3216b5448bull, 0x8e06a5e0866d8ull, 0x8f1ae99157736ull,
    0x902fed0282c8aull, 0x9145b0b91ffc5ull, 0x925c353aa2fe1ull, 0x93737b0cdc5e4ull, 0x948b82b5f98e4ull,
    0x95a44cbc8520eull, 0x96bdd9a7670b2ull, 0x97d829fde4e4full, 0x98f33e47a22a2ull, 0x9a0f170ca07b9ull,
    0x9b2bb4d53fe0cull, 0x9c49182a3f090ull, 0x9d674194bb8d4ull, 0x9e86319e32323ull, 0x9fa5e8d07f29dull,
    0xa0c667b5de564ull, 0xa1e7aed8eb8bbull, 0xa309bec4a2d33ull, 0xa42c980460ad7ull, 0xa5503b23e255cull,
    0xa674a8af46052ull, 0xa799e1330b358ull, 0xa8bfe53c12e58ull, 0xa9e6b5579fdbfull, 0xab0e521356ebaull,
    0xac36bbfd3f379ull, 0xad5ff3a3c2774ull, 0xae89f995ad3adull, 0xafb4ce622f2feull, 0xb0e07298db665ull,
    0xb20ce6c9a8952ull, 0xb33a2b84f15faull, 0xb468415b749b0ull, 0xb59728de55939ull, 0xb6c6e29f1c52aull,
    0xb7f76f2fb5e46ull, 0xb928cf22749e3ull, 0xba5b030a10649ull, 0xbb8e0b79a6f1eull, 0xbcc1e904bc1d2ull,
    0xbdf69c3f3a206ull, 0xbf2c25bd71e08ull, 0xc06286141b33cull, 0xc199bdd85529cull, 0xc2d1cd9fa652bull,
    0xc40ab5fffd07aull, 0xc544778fafb22ull, 0xc67f12e57d14bull, 0xc7ba88988c932ull, 0xc8f6d9406e7b5ull,
    0xca3405751c4daull, 0xcb720dcef9069ull, 0xccb0f2e6d1674ull, 0xcdf0b555dc3f9ull, 0xcf3155b5bab73ull,
    0xd072d4a07897bull, 0xd1b532b08c968ull, 0xd2f87080d89f1ull, 0xd43c8eacaa1d6ull, 0xd5818dcfba487ull,
    0xd6c76e862e6d3ull, 0xd80e316c98397ull, 0xd955d71ff6075ull, 0xda9e603db3285ull, 0xdbe7cd63a8314ull,
    0xdd321f301b460ull, 0xde7d5641c0657ull, 0xdfc97337b9b5eull, 0xe11676b197d16ull, 0xe264614f5a128ull,
    0xe3b333b16ee11ull, 0xe502ee78b3ff6ull, 0xe653924676d75ull, 0xe7a51fbc74c83ull, 0xe8f7977cdb73full,
    0xea4afa2a490d9ull, 0xeb9f4867cca6eull, 0xecf482d8e67f0ull, 0xee4aaa2188510ull, 0xefa1bee615a27ull,
    0xf0f9c1cb64129ull, 0xf252b376bba97ull, 0xf3ac948dd7273ull, 0xf50765b6e4540ull, 0xf6632798844f8ull,
    0xf7bfdad9cbe13ull, 0xf91d802243c88ull, 0xfa7c1819e90d8ull, 0xfbdba3692d513ull, 0xfd3c22b8f71f1ull,
    0xfe9d96b2a23d9ull,
};

void* take(Registry& registry, std::size_t bytes) noexcept {
  const std::size_t padded = (bytes + 63) & ~std::size_t{63};
  if (registry.table_used + padded > kTableBytes) return nullptr;
  void* at = registry.tables + registry.table_used;
  registry.table_used += static_cast<std::uint32_t>(padded);
  return at;
}

bool ascending(const double* bounds, std::size_t size) noexcept {
  for (std::size_t i = 0; i < size; ++i) {
    if (!detail::finite(detail::bits_of_real(bounds[i])) || (i > 0 && !(bounds[i - 1] < bounds[i]))) return false;
  }
  return true;
}

std::int32_t index_of(detail::Buckets b, double value) noexcept {
  b.first_index = -(1 << 20);
  b.count = 1u << 21;
  b.bounds = nullptr;
  return static_cast<std::int32_t>(detail::exponential_word(b, value, nullptr) - detail::kShardHead) + b.first_index;
}

bool fill_explicit(const double* bounds, std::uint32_t size, Registry& registry, detail::Buckets& b) noexcept {
  const std::uint32_t padded = size == 0 ? 16 : (size + 15) & ~15u;
  auto* copy = static_cast<double*>(take(registry, (padded + padded / 4) * sizeof(double)));
  if (copy == nullptr) return false;
  for (std::uint32_t i = 0; i < size; ++i) copy[i] = bounds[i];
  for (std::uint32_t i = size; i < padded; ++i) copy[i] = __builtin_inf();
  for (std::uint32_t i = 0; i < padded / 4; ++i) copy[padded + i] = i % 4 == 3 ? __builtin_inf() : copy[4 * i + 3];
  b.bounds = copy;
  b.bounds_padded = padded;
  b.count = size + 1;
  return true;
}

bool fill_exponential(int scale, double smallest, double greatest, Registry& registry, detail::Buckets& b) noexcept {
  b.up = static_cast<std::uint8_t>(scale > 0 ? scale : 0);
  b.down = static_cast<std::uint8_t>(scale < 0 ? -scale : 0);
  b.guess_shift = static_cast<std::uint8_t>(51 - b.up);
  const std::uint32_t steps = 1u << b.up;
  auto* thresholds = static_cast<std::uint64_t*>(take(registry, (steps + 1) * sizeof(std::uint64_t)));
  auto* guess = static_cast<std::uint16_t*>(take(registry, 2 * steps * sizeof(std::uint16_t)));
  if (thresholds == nullptr || guess == nullptr) return false;
  for (std::uint32_t j = 0; j < steps; ++j) thresholds[j] = kThresholds[j << (kScaleMax - b.up)];
  thresholds[steps] = ~std::uint64_t{0};
  // A cell of the mantissa is narrower than any bucket: at most one threshold is in it.
  for (std::uint32_t cell = 0, below = 0; cell < 2 * steps; ++cell) {
    const std::uint64_t start = std::uint64_t{cell} << b.guess_shift;
    while (thresholds[below] < start) ++below;
    guess[cell] = static_cast<std::uint16_t>(below);
  }
  b.thresholds = thresholds;
  b.guess = guess;
  b.first_index = index_of(b, smallest);
  const std::int32_t last = index_of(b, greatest);
  b.count = static_cast<std::uint32_t>(last - b.first_index + 1);
  return true;
}

}  // namespace

bool fill_buckets(const detail::InstrumentData& data, Registry& registry, detail::Instrument& instrument, char* why,
                  std::size_t room) noexcept {
  const auto said = static_cast<HistogramKind>(data.aggregation);
  bool exponential = said == HistogramKind::exponential;
  if (said == HistogramKind::standard && !data.bounds_given) {
    // Before init() the settings are not known yet.
    const char* standard = variable("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION");
    exponential = g.mode.load(std::memory_order_acquire) != Mode::before_init
                      ? g.settings.exponential_histograms
                      : standard != nullptr && same_word(standard, "base2_exponential_bucket_histogram");
  }
  const bool real = (data.flags & shm::kMetricReal) != 0;
  detail::Buckets& b = instrument.buckets;
  b.negatives = false;
  instrument.flags &= static_cast<std::uint8_t>(~shm::kMetricNegative);
  bool good = false;
  std::uint64_t buckets = 0;
  if (exponential) {
    instrument.kind = static_cast<std::uint8_t>(shm::MetricKind::exponential_histogram);
    const double smallest = data.smallest != 0 ? data.smallest : real ? 0x1p-30 : 1.0;
    const double greatest = data.greatest != 0 ? data.greatest : real ? 0x1p34 : 0x1p63;
    int scale = data.scale;
    if (scale < -static_cast<int>(kScaleMax) || scale > static_cast<int>(kScaleMax)) {
      std::snprintf(why, room, "a scale of %d, not from -8 to 8: 3 is used", scale);
      scale = 3;
    }
    if (!(smallest >= 0x1p-1022 && smallest < greatest && detail::finite(detail::bits_of_real(greatest)))) {
      std::snprintf(why, room, "a range from %g to %g: 2^-30 to 2^34 is used", smallest, greatest);
      good = fill_exponential(scale, 0x1p-30, 0x1p34, registry, b);
    } else {
      good = fill_exponential(scale, smallest, greatest, registry, b);
    }
    if (good && b.count > kBucketsMax) {
      std::snprintf(why, room, "%u buckets, more than %u: the scale 3 and a range from 2^-30 to 2^34 are used", b.count,
                    kBucketsMax);
      good = fill_exponential(3, 0x1p-30, 0x1p34, registry, b);
    }
    if ((data.flags & shm::kMetricNegative) != 0) {
      b.negatives = true;
      instrument.flags |= shm::kMetricNegative;
    }
    buckets = std::uint64_t{b.count} * (b.negatives ? 2 : 1);
  } else {
    instrument.kind = static_cast<std::uint8_t>(shm::MetricKind::histogram);
    const double* bounds = kStandard;
    std::size_t size = sizeof kStandard / sizeof kStandard[0];
    if (data.bounds_given) {
      if (data.bounds_size <= kBoundsMax && ascending(data.bounds, data.bounds_size)) {
        bounds = data.bounds;
        size = data.bounds_size;
      } else {
        std::snprintf(why, room,
                      "bounds that are not ascending, finite and at most %u: OpenTelemetry's standard ones are used",
                      kBoundsMax);
      }
    }
    good = fill_explicit(bounds, static_cast<std::uint32_t>(size), registry, b);
    buckets = b.count;
  }
  const std::uint64_t words = (detail::kShardHead + buckets + kShardAlign - 1) & ~std::uint64_t{kShardAlign - 1};
  b.shard_bytes = static_cast<std::uint32_t>(8 * words);
  return good;
}

}  // namespace tailrace::shim
