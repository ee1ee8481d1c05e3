// Schemas for the kinds of values that occur in several sections of the configuration.
import { isCleanLevel } from '@inferwire/protocol'
import { z } from 'zod'
import { advanced, option, optionalFile, text } from './option.ts'

/** One mebibyte, in bytes. */
export const MIB = 1024 * 1024

/** Returns a schema for text. `mistake` returns the form that was expected, or undefined for a valid value. */
export function address(mistake: (value: string) => string | undefined) {
  return z.string({ error: mistake('') }).check((context) => {
    const expected = mistake(context.value)
    if (expected !== undefined) {
      context.issues.push({ code: 'custom', message: expected, input: context.value })
    }
  })
}

/** Free text. */
export const shortText = text(
  (value) => value.length > 0 && value.length <= 1024,
  'text of 1 to 1024 characters',
)
/** One level of a topic. */
export const level = text(
  isCleanLevel,
  'one topic level: no "/", "+", "#" or control characters, at most 255 characters',
)
/** A name in which `*` matches any characters. */
export const glob = text(
  (value) => /^[^/+#]{1,255}$/.test(value),
  'a name, in which * matches any characters',
)

/** The `tls` section: trusted authorities and the client certificate. */
export const tls = z.strictObject({
  caFile: optionalFile('PEM file with the trusted certificate authorities, which replace those of Node.js.'),
  certFile: optionalFile(
    'PEM file with the client certificate; requires `keyFile`. Read again for new connections.',
  ),
  keyFile: optionalFile('PEM file with the private key of the client certificate.'),
  serverName: advanced(
    option(shortText.optional(), {
      description: 'Server name that is sent as SNI and that the certificate must contain.',
      defaultText: 'the host of the URL',
    }),
  ),
  insecureSkipVerify: advanced(
    option(z.boolean().default(false), { description: 'Accepts any certificate. For tests only.' }),
  ),
})
