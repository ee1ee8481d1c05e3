// The real model servers of the suite, with their versions: the columns of docs/protocols.md.

/** The titles of the servers, by name. */
export const SERVERS = {
  kserve: 'KServe 0.21.0',
  triton: 'Triton 2.51.0',
  mlserver: 'MLServer 1.7.1',
  openai: 'KServe 0.21.0, OpenAI routes',
} as const

/** The name of a real server. */
export type RealServer = keyof typeof SERVERS
