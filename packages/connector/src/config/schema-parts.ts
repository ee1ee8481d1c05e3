// The kinds of value that several sections of the configuration share.
import { isCleanLevel } from '@inferwire/protocol'
import { z } from 'zod'
import { option, optionalFile, text } from './option.ts'

/** Bytes. */
export const MIB = 1024 * 1024

/** Text whose mistake is told in the function's own words. */
export function address(mistake: (value: string) => string | undefined) {
  return z.string({ error: mistake('') }).check((context) => {
    const expected = mistake(context.value)
    if (expected !== undefined) {
      context.issues.push({ code: 'custom', message: expected, input: context.value })
    }
  })
}

/** Text for people. */
export const shortText = text(
  (value) => value.length > 0 && value.length <= 1024,
  'text of 1 to 1024 characters',
)
/** What can be one level of a topic. */
export const level = text(
  isCleanLevel,
  'one topic level: no "/", "+", "#" and control characters, at most 255 characters',
)
/** Names, with * for any characters. */
export const glob = text(
  (value) => /^[^/+#]{1,255}$/.test(value),
  'a name in which * stands for any characters',
)

/** Whom to trust, and who we are, in a TLS handshake. */
export const tls = z.strictObject({
  caFile: optionalFile('PEM file with the certificate authorities to trust, in place of those of Node.js.'),
  certFile: optionalFile('PEM file with our client certificate.'),
  keyFile: optionalFile('PEM file with the key of our client certificate.'),
  serverName: option(shortText.optional(), {
    description: 'Name to ask for (SNI) and to find in the certificate.',
    defaultText: 'the host of the URL',
  }),
  insecureSkipVerify: option(z.boolean().default(false), {
    description: 'Accepts any certificate. Only for trying things out.',
  }),
})
