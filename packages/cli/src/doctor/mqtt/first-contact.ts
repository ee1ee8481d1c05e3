// Finds out what listens on a port that does not answer CONNECT as expected.
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { placeOf, type ProbeTarget } from './probe-target.ts'

/** What answered on a port. */
export type Contact = 'mqtt' | 'proxy-protocol' | 'tls' | 'web' | 'other' | 'closed' | 'silent'

// CONNECT of MQTT 3.1.1 with Clean Session, a Keep Alive of 10 s and an empty client identifier.
const CONNECT = Buffer.from('100c00044d5154540402000a0000', 'hex')
// Version 2 of HAProxy's PROXY protocol, section 2.2: the command LOCAL, without addresses.
const PROXY_HEADER = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')
const CONNACK = 0x20
const TLS_ALERT = 0x15

/** Tries MQTT, TLS and the PROXY protocol, in this order. */
export async function findContact(target: ProbeTarget, timeoutMs: number): Promise<Contact> {
  const plain = await answerOf(target, CONNECT, timeoutMs)
  if (plain !== 'closed' && plain !== 'silent') return plain
  if (await speaksTls(target, timeoutMs)) return 'tls'
  const proxied = await answerOf(target, Buffer.concat([PROXY_HEADER, CONNECT]), timeoutMs)
  return proxied === 'mqtt' ? 'proxy-protocol' : plain
}

function answerOf(target: ProbeTarget, bytes: Buffer, timeoutMs: number): Promise<Contact> {
  return new Promise((resolve) => {
    const socket = connectTcp(placeOf(target), () => socket.write(bytes))
    const end = (contact: Contact): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(contact)
    }
    const timer = setTimeout(() => end('silent'), timeoutMs)
    socket.once('data', (data: Buffer) => end(kindOf(data)))
    socket.once('error', () => end('closed'))
    socket.once('close', () => end('closed'))
  })
}

function kindOf(data: Buffer): Contact {
  if (data[0] === CONNACK) return 'mqtt'
  if (data[0] === TLS_ALERT) return 'tls'
  return data.subarray(0, 5).toString('latin1') === 'HTTP/' ? 'web' : 'other'
}

function speaksTls(target: ProbeTarget, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    // Certificates are not checked here: the question is only whether the port uses TLS.
    const socket: Socket = connectTls({ ...placeOf(target), rejectUnauthorized: false })
    const end = (isTls: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(isTls)
    }
    const timer = setTimeout(() => end(false), timeoutMs)
    socket.once('secureConnect', () => end(true))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}
