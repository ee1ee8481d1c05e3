// Self-signed certificates for two servers, so that a test can trust one of them and not the other.
// Made with OpenSSL: ecparam -name prime256v1, pkcs8 -topk8 -nocrypt, req -new -subj /CN=NAME, and
// ca -selfsign -startdate 20240101000000Z -enddate 21240101000000Z with subjectAltName=DNS:NAME.

/** A certificate and its key in PEM, for tests only. */
export interface TestCertificate {
  readonly cert: string
  readonly key: string
}

/** A certificate for "localhost". */
export const LOCALHOST: TestCertificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBczCCARqgAwIBAgIUZIFTgHrG+BRAMNIDl56oCxuIHQswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI0MDEwMTAwMDAwMFoYDzIxMjQwMTAx
MDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATH5mQELmc3V9uU7x//w+BLqxNlEQsIkm3+z6tXKQSzLK68DXZOvell
WXj70qDlX6noeLK9mbbS06uAWszvUTzBo0gwRjAUBgNVHREEDTALgglsb2NhbGhv
c3QwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUZuQ+SoKGxbFOZhMZiEwHy+LQ
JnkwCgYIKoZIzj0EAwIDRwAwRAIgEkMlL4Q8sdY0Jrqb0bvkqF2OeYo3SyWA1N5Y
kBQuPvECIAL7ceaWqFSom/uSnA6Kb1eJy4J2jYAxTHGEj7rkqQTl
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJQBO1PpI/njEcnmr
1jhkBK1/oQRLesBt12ttBG1hh7ehRANCAATH5mQELmc3V9uU7x//w+BLqxNlEQsI
km3+z6tXKQSzLK68DXZOvellWXj70qDlX6noeLK9mbbS06uAWszvUTzB
-----END PRIVATE KEY-----
`,
}

/** A certificate for "other.example". */
export const OTHER_NAME: TestCertificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBgTCCASagAwIBAgIUH9kvHFXXLZekt0AxvFLIYcimhs4wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTAgFw0yNDAxMDEwMDAwMDBaGA8yMTI0
MDEwMTAwMDAwMFowGDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABG8GtvspCPgeN/afBjj0xLOtmLqHfwP6/IXkRvVvI92U
oZfhaogeTPI4FYmdkiL9muY1Feg43xtDP8JmtAEO+TGjTDBKMBgGA1UdEQQRMA+C
DW90aGVyLmV4YW1wbGUwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUfHIOzZJe
G48XNGCEoP5ZbMNF4nUwCgYIKoZIzj0EAwIDSQAwRgIhAJRrJCJLnSa/ZOlIncdk
dQy6jcxjFLKlGrYyiuigZ5prAiEAukd0e1Sm2+dp1YNzGWkAC5qRNARoQA54+TOW
o0wzUss=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgepU1/GuJnnjEGK8Z
0nT/f5KGvMOFfrmd2Wm57E+KVtKhRANCAARvBrb7KQj4Hjf2nwY49MSzrZi6h38D
+vyF5Eb1byPdlKGX4WqIHkzyOBWJnZIi/ZrmNRXoON8bQz/CZrQBDvkx
-----END PRIVATE KEY-----
`,
}

/** The key of `LOCALHOST`, encrypted with a passphrase. */
export const ENCRYPTED_KEY = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAi8hyhXgvXXSQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEH5bmkA64mlf/W1Cf8i03V4EgZBG
f/F2Td9+FdJzpNDbRZgKePtn9gLgyVPTi5d1Vv25Tgo2FhbLSi8wCEskiubO8I0W
wT8FJzPMTqLrb3xJwCwcp4gqUYdq9EUoWFGEqxl7nNtL4Ar5lL58KxNCfQaZ35b2
EAKMbEjN+MvHEqmAXe0YsDP7amvrIiKlHk3nKCUamyaSGhKxxIHmV7pjE//WBJU=
-----END ENCRYPTED PRIVATE KEY-----
`
