#!/bin/sh
# Makes certificates for tests in a directory: certificates.sh DIR
#   ca.pem                     an authority
#   node.pem node.key          made out to localhost, 127.0.0.1 and ::1, by it
#   elsewhere.pem .key         made out to elsewhere.example, by it
#   c.pem .key                 the same, with the common name c
#   named.pem .key             made out to the name c, with another common name
#   any.pem .key               made out to *, *.example and *.0.0.1, and to 127.0.0.2
#   stranger.pem .key, stranger_ca.pem   made out to localhost, by another authority
#   expired.pem .key           made out to localhost, by the first, and over
set -eu
cd "$1"

authority() { # name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=test authority $1" -keyout "$1.key" -out "$1.pem" 2>/dev/null
}

certificate() { # name authority subject-alternative-names days
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.csr" 2>/dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial \
        -extfile "$1.ext" -days "$4" -out "$1.pem" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
}

here=DNS:localhost,IP:127.0.0.1,IP:::1
authority ca
authority stranger_ca
certificate node ca "$here" 2
certificate elsewhere ca DNS:elsewhere.example 2
certificate c ca DNS:elsewhere.example 2
certificate named ca DNS:elsewhere.example,DNS:c 2
certificate any ca 'DNS:*,DNS:*.example,DNS:*.0.0.1,IP:127.0.0.2' 2
certificate stranger stranger_ca "$here" 2
certificate expired ca "$here" -1
