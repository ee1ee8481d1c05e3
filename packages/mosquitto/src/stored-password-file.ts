// Reads a password file up to a size limit, and replaces it atomically.
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

/** A password file as read from disk. */
export interface StoredPasswordFile {
  /** Bytes that are not UTF-8 are replaced by U+FFFD; a byte order mark is kept. */
  readonly text: string
  readonly isUtf8: boolean
  /** The mode from `stat`. */
  readonly mode: number
  readonly isSymbolicLink: boolean
}

// Enough for roughly 100,000 users.
const FILE_BYTES_MAX = 16 * 1024 * 1024
const CHUNK_BYTES = 64 * 1024

/** Reads a password file. @throws the system's error (`ENOENT`, `EACCES`, …), or an Error if the file is too large */
export function readPasswordFile(path: string): StoredPasswordFile {
  const { mode } = statSync(path)
  const bytes = readBounded(path)
  const isUtf8 = decode(bytes, true) !== undefined
  return { text: decode(bytes, false)!, isUtf8, mode, isSymbolicLink: lstatSync(path).isSymbolicLink() }
}

/**
 * Writes a temporary file in the same folder and renames it. A new file has mode 0600. An existing file keeps its
 * owner, its group and the group's read permission, but all other permissions are removed. Follows symbolic links.
 * @returns whether other users lost read permission
 * @throws the system's error, or an Error if the path is not a regular file
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
      // Without fsync, the file could be empty after a power failure.
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

// Brokers often read the file through its group. If the group cannot be kept, no group is given read permission.
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
