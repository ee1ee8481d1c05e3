// A password file on disk: read within bounds, and written so that a broker finds the old one or the new one whole.
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** What was read. */
export interface StoredPasswordFile {
  /** Bytes that are not UTF-8 are U+FFFD; a byte order mark is kept. */
  readonly text: string
  readonly isUtf8: boolean
  /** As `stat` gives it. */
  readonly mode: number
  readonly isSymbolicLink: boolean
}

// About 100,000 users.
const FILE_BYTES_MAX = 16 * 1024 * 1024
const CHUNK_BYTES = 64 * 1024

/** @throws the system's error (`ENOENT`, `EACCES`, …), or an Error that says what is wrong with the file */
export function readPasswordFile(path: string): StoredPasswordFile {
  const { mode } = statSync(path)
  const bytes = readBounded(path)
  const isUtf8 = decode(bytes, true) !== undefined
  return { text: decode(bytes, false)!, isUtf8, mode, isSymbolicLink: lstatSync(path).isSymbolicLink() }
}

/**
 * Writes a file beside it and renames that. A new file is 0600. One that is there keeps its owner, its group and
 * the group's right to read; everybody else loses theirs. Of a symbolic link the file behind it is written.
 * @returns whether somebody lost the right to read
 * @throws the system's error, or an Error when it is no regular file
 */
export function writePasswordFile(path: string, text: string): boolean {
  const before = statOf(path)
  if (before !== undefined && !before.isFile()) throw new Error('It is not a regular file.')
  const target = before === undefined ? path : realpathSync(path)
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`)
  const file = openSync(temporary, 'wx', 0o600)
  try {
    try {
      if (before !== undefined) keepReaders(file, before)
      writeFileSync(file, text)
      // A rename before the content is on the disk could leave an empty file after a power cut.
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  return before !== undefined && (before.mode & 0o004) !== 0
}

// The broker often reads it through its group. Where the group cannot be kept, nobody else's gets the right.
function keepReaders(file: number, { uid, gid, mode }: Stats): void {
  try {
    fchownSync(file, uid, gid)
  } catch {
    return
  }
  fchmodSync(file, 0o600 | (mode & 0o040))
}

function readBounded(path: string): Buffer {
  const file = openSync(path, 'r')
  try {
    const chunks: Buffer[] = []
    for (let total = 0; total <= FILE_BYTES_MAX;) {
      const chunk = Buffer.alloc(CHUNK_BYTES)
      const count = readSync(file, chunk)
      if (count === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, count))
      total += count
    }
  } finally {
    closeSync(file)
  }
  throw new Error(`It is larger than ${FILE_BYTES_MAX} bytes.`)
}

function decode(bytes: Buffer, fatal: boolean): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}
