/* Texts of the error table, and of the version. */
#include <tenure/error.h>
#include <tenure/version.h>

const char *tn_strerror(int error)
{
    switch (error) {
    case TN_OK:
        return "done";
#define TN_ERROR_CASE(code, name, sentence)                                                        \
    case code:                                                                                     \
        return sentence;
        TN_ERROR_TABLE(TN_ERROR_CASE)
#undef TN_ERROR_CASE
    default:
        return "unknown error";
    }
}

const char *tn_err_name(int error)
{
    switch (error) {
    case TN_OK:
        return "TN_OK";
#define TN_ERROR_CASE(code, name, sentence)                                                        \
    case code:                                                                                     \
        return "TN_ERROR_" #name;
        TN_ERROR_TABLE(TN_ERROR_CASE)
#undef TN_ERROR_CASE
    default:
        return "unknown";
    }
}

const char *tn_version(void)
{
    return TN_VERSION_TEXT;
}
