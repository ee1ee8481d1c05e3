// Reads the TLS files of a model again for new connections, because certificates are rotated while the connector runs.
import { createSecureContext } from 'node:tls'
import type { TlsConfig } from './schema.ts'
import { readTlsFiles, type TlsTrust } from './tls-files.ts'

/** Receives what an operator has to know about the files. */
export interface TlsFilesNews {
  /** The changed files cannot be used, and the last valid ones stay in use. Called when the reason changes. */
  failed(detail: string): void
  /** The files can be used again. */
  recovered(): void
}

/** The TLS files of one model. */
export class RotatingTls {
  readonly #tls: TlsConfig
  readonly #news: TlsFilesNews | undefined
  #trust: TlsTrust
  #reported: string | undefined

  /** Reads the files. @throws if a file cannot be read, or if a CA file contains no certificate */
  constructor(tls: TlsConfig, news?: TlsFilesNews) {
    this.#tls = tls
    this.#news = news
    this.#trust = readTlsFiles(tls)
  }

  /** Returns the content of the files: the same object until a file changes. Call it for every new connection. */
  current(): TlsTrust {
    try {
      const read = readTlsFiles(this.#tls)
      if (!isSame(read, this.#trust)) {
        // A certificate may be replaced a moment before its key. A half-written file is not valid either.
        createSecureContext(read)
        this.#trust = read
      }
      this.#report(undefined)
    } catch (error) {
      this.#report(`The changed TLS files cannot be used: ${(error as Error).message}.`)
    }
    return this.#trust
  }

  #report(detail: string | undefined): void {
    if (detail === this.#reported) return
    this.#reported = detail
    if (detail === undefined) this.#news?.recovered()
    else this.#news?.failed(detail)
  }
}

function isSame(one: TlsTrust, other: TlsTrust): boolean {
  const parts = ['ca', 'cert', 'key'] as const
  return parts.every((part) => one[part] === other[part] || one[part]?.equals(other[part]!) === true)
}
