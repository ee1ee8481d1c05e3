// Text from editors and shells: UTF-8, sometimes with a byte order mark, sometimes in another encoding.
import { CliError } from './cli-error.ts'
import { EXIT } from './exit-code.ts'

/**
 * The text, without a byte order mark; a mark would become a part of a password, or make JSON unreadable.
 * @throws CliError that names the encoding; `what` begins its sentence
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
