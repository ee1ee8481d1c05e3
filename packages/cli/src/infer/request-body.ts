// Reads the body of a request from -d, -f or standard input.
import { readFile, stat } from 'node:fs/promises'
import { isOperationName, operationOfBody, OPERATIONS, type OperationName } from '@inferwire/protocol'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { isJsonType } from '../json-text.ts'
import { utf8Text } from '../text-file.ts'

/** The body of a request and its source. */
export interface RequestBody {
  readonly bytes: Uint8Array
  /** The file given with -f, if a command printed by --show can refer to it. */
  readonly file: string | undefined
}

/** The options that select the body. */
export interface BodySource {
  readonly data?: string
  readonly file?: string
  readonly contentType?: string
}

const NPY_MAGIC = Buffer.from('\x93NUMPY', 'latin1')
// The largest MQTT packet; a larger body cannot be published.
const BODY_BYTES_MAX = 256 * 1024 * 1024

/**
 * Reads the body. Returns undefined if none was given and standard input is a terminal.
 * @throws CliError if the file cannot be read, or if the body must be JSON but is not
 */
export async function readRequestBody(source: BodySource): Promise<RequestBody | undefined> {
  if (source.data !== undefined && source.file !== undefined) {
    throw usageError('-d and -f were given together', 'Use only one of them: -d for text, or -f for a file.')
  }
  if (source.data !== undefined) return checked(Buffer.from(source.data), undefined, '-d', source)
  if (source.file !== undefined && source.file !== '-') {
    return checked(await readBodyFile(source.file), source.file, `file "${source.file}"`, source)
  }
  if (source.file === undefined && process.stdin.isTTY) return undefined
  const bytes = await readStdin()
  if (bytes.length === 0) {
    throw new CliError(
      EXIT.badInput,
      'standard input is empty, and neither -d nor -f was given',
      `Use -d '{"instances":[[…]]}' or -f FILE, or pipe the body to standard input.`,
    )
  }
  return checked(bytes, undefined, 'standard input', source)
}

/** Returns the operation that a body implies: `predict` for `instances` (V1), `infer` for `inputs` (V2). */
export function operationOf(bytes: Uint8Array): OperationName | undefined {
  try {
    return operationOfBody(JSON.parse(Buffer.from(bytes).toString()))
  } catch {
    return undefined
  }
}

/** Checks the value of --operation. @throws CliError if there is no such operation */
export function parseOperation(name: string): OperationName {
  if (isOperationName(name)) return name
  throw usageError(
    `there is no operation "${name}"`,
    `Use one of: ${Object.keys(OPERATIONS).join(', ')}; or omit --operation to derive it from the body.`,
  )
}

// Without --content-type the body must be JSON; with a type other than JSON, the body is not checked.
function checked(bytes: Buffer, file: string | undefined, from: string, source: BodySource): RequestBody {
  if (source.contentType !== undefined && !isJsonType(source.contentType)) {
    return { bytes, file }
  }
  if (NPY_MAGIC.equals(bytes.subarray(0, NPY_MAGIC.length))) {
    throw new CliError(EXIT.badInput, `${from} is a numpy array`, 'Use --input instead of -f.')
  }
  const text = utf8Text(bytes, `the body from ${from}`)
  if (source.contentType === undefined) checkJson(text, from)
  // RFC 8259 §8.1: a byte order mark must not be sent. Without the mark, the body differs from the file, so a printed
  // command must not refer to the file.
  const isMarked = bytes.length > Buffer.byteLength(text)
  return isMarked ? { bytes: Buffer.from(text), file: undefined } : { bytes, file }
}

function checkJson(text: string, from: string): void {
  try {
    JSON.parse(text)
  } catch (error) {
    throw new CliError(
      EXIT.badInput,
      `the body from ${from} is not JSON: ${(error as Error).message}`,
      'Correct the body: models accept JSON.',
      { cause: error },
    )
  }
}

async function readBodyFile(file: string): Promise<Buffer> {
  try {
    // The size is checked before reading, because text above half a GiB cannot even be decoded. A pipe reports no size.
    if ((await stat(file)).size > BODY_BYTES_MAX) throw tooLarge(`file "${file}"`)
    const bytes = await readFile(file)
    if (bytes.length > BODY_BYTES_MAX) throw tooLarge(`file "${file}"`)
    return bytes
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(
      EXIT.missingFile,
      `file "${file}" cannot be read: ${(error as Error).message}`,
      'Check the path given with -f.',
      { cause: error },
    )
  }
}

/** Reads standard input to its end. @throws CliError if it is larger than a request can be */
export async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_BYTES_MAX) throw tooLarge('standard input')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function tooLarge(what: string): CliError {
  return new CliError(
    EXIT.badInput,
    `${what} is larger than ${BODY_BYTES_MAX} bytes, MQTT's limit`,
    'Split the request into smaller ones.',
  )
}
