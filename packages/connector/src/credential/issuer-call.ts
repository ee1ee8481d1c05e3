// Sends one POST request to the token endpoint of an issuer. The answer has limits for its size and its duration, and a
// redirect is not followed.
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as requestHttps } from 'node:https'
import { IssuerError } from './issuer-error.ts'

/** An answer of the issuer, not yet judged. */
export interface IssuerAnswer {
  readonly status: number
  readonly contentType: string
  /** Value of Retry-After. */
  readonly retryAfter: string | undefined
  readonly location: string | undefined
  readonly text: string
}

/** The request to send. */
export interface IssuerCall {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** PEM of the trusted authorities. @default those of Node.js */
  readonly ca: Buffer | undefined
  /** Limit for the whole call. */
  readonly timeoutMs: number
}

// A token is at most 16 KiB, and an answer contains up to three.
const ANSWER_BYTES_MAX = 64 * 1024

/** Resolves with any answer. @throws IssuerError if there is no complete answer */
export function callIssuer({ url, headers, body, ca, timeoutMs }: IssuerCall): Promise<IssuerAnswer> {
  const options: RequestOptions & { ca?: Buffer } = {
    method: 'POST',
    // No content coding, so that the limit applies to what is kept in memory.
    headers: { ...headers, 'accept-encoding': 'identity', 'content-length': String(Buffer.byteLength(body)) },
    // A connection is needed rarely, so none is kept.
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    ...(ca === undefined ? {} : { ca }),
  }
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(failureOf(error, timeoutMs))
    const request = url.protocol === 'https:' ? requestHttps(url, options) : requestHttp(url, options)
    request.on('error', fail)
    request.on('response', (response) => {
      readText(response).then(
        (text) => resolve({ ...headOf(response), text }),
        (error: unknown) => {
          request.destroy()
          fail(error)
        },
      )
    })
    request.end(body)
  })
}

function headOf({ statusCode = 0, headers }: IncomingMessage): Omit<IssuerAnswer, 'text'> {
  return {
    status: statusCode,
    contentType: headers['content-type'] ?? '',
    retryAfter: headers['retry-after'],
    location: headers.location,
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) {
      throw new IssuerError(
        `the answer is larger than ${ANSWER_BYTES_MAX} bytes; is it a token endpoint?`,
        true,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, bytes).toString('utf8')
}

function failureOf(error: unknown, timeoutMs: number): IssuerError {
  if (error instanceof IssuerError) return error
  const { name, code, message, cause } = error as NodeJS.ErrnoException
  if (
    name === 'AbortError' ||
    name === 'TimeoutError' ||
    (cause as Error | undefined)?.name === 'TimeoutError'
  ) {
    return new IssuerError(`no complete answer after ${timeoutMs} ms`, false)
  }
  // The messages of Node.js contain addresses and names of certificates, but nothing of the request.
  return new IssuerError(code === undefined ? message : `${message} (${code})`.slice(0, 300), false)
}
