// Reads small files that hold credentials, and checks tokens.
import { closeSync, openSync, readSync } from 'node:fs'
import { configError, credentialError } from './kube-error.ts'

const FILE_BYTES_MAX = 1024 * 1024
// Most files fit: a token has about 1 KiB.
const FIRST_BYTES = 4 * 1024
// By default Node.js rejects header lists above 16 KiB.
const TOKEN_LENGTH_MAX = 15 * 1024

/** Reads a file. @throws KubeError `InvalidConfig`, which names the file but never quotes it */
export function readText(file: string, what: string, bytesMax = FILE_BYTES_MAX): string {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'r')
    // Does not rely on the size of the file, because pipes and devices have no size.
    let buffer = Buffer.alloc(FIRST_BYTES)
    let length = 0
    for (;;) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, null)
      length += read
      if (read === 0) return buffer.toString('utf8', 0, length)
      if (length > bytesMax) throw new Error(`is larger than ${bytesMax} bytes`)
      if (length === buffer.length) buffer = Buffer.concat([buffer, Buffer.alloc(length)])
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === undefined ? message : `cannot be read (${code})`
    throw configError(
      `${what} "${file}" ${reason}`,
      'Check the path, and that this user may read the file.',
      error,
    )
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/** Checks a bearer token. `what` names where it comes from. @throws KubeError `NoCredential` */
export function checkedToken(text: string, what: string): string {
  const token = text.trim()
  // RFC 6750 §2.1: b64token. Other characters would let the text inject headers.
  if (/^[A-Za-z0-9\-._~+/]+=*$/.test(token) && token.length <= TOKEN_LENGTH_MAX) return token
  const mistake = token === '' ? 'is empty' : 'is not a bearer token'
  throw credentialError(`${what} ${mistake}`, 'Check where the token comes from.')
}

/** Reads a file again for every request, and keeps the last valid content while the file is being replaced. */
export class KeptFile {
  readonly #file: string
  readonly #what: string
  readonly #check: (text: string, what: string) => string
  #text: string | undefined
  #value: string | undefined

  /** @param check returns the value in the text, or throws */
  constructor(file: string, what: string, check: (text: string, what: string) => string) {
    this.#file = file
    this.#what = what
    this.#check = check
  }

  /** Returns the value. @throws KubeError if the file has never had a valid content */
  read(): string {
    try {
      const text = readText(this.#file, this.#what)
      if (text !== this.#text || this.#value === undefined) {
        this.#value = this.#check(text, `${this.#what} "${this.#file}"`)
        this.#text = text
      }
    } catch (error) {
      if (this.#value === undefined) throw error
    }
    return this.#value
  }
}
