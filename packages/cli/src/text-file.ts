// Decodes text from editors and shells, which may contain a byte order mark or use an encoding other than UTF-8.
import { CliError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'

/**
 * Decodes UTF-8 and removes a byte order mark, which would become part of a password or make JSON invalid.
 * @throws CliError that names the encoding; its message begins with `what`
 */
export function utf8Text(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    const [first, second] = bytes
    const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
    const [is, from] = isUtf16 ? ['UTF-16', 'UTF-16'] : ['not UTF-8', 'ENCODING']
    throw new CliError(
      EXIT.badInput,
      `${what} is ${is}`,
      `Save it as UTF-8, or convert it: iconv -f ${from} -t UTF-8`,
      { cause: error },
    )
  }
}
