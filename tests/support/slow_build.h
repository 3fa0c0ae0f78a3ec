/* TN_SLOW_BUILD: 1 when a sanitizer is in, which makes a search many times slower; a test may then
 * take a smaller case of the same thing. */
#ifndef TN_TESTS_SUPPORT_SLOW_BUILD_H
#define TN_TESTS_SUPPORT_SLOW_BUILD_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TN_SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TN_SLOW_BUILD 1
#endif
#endif

#ifndef TN_SLOW_BUILD
#define TN_SLOW_BUILD 0
#endif

#endif
