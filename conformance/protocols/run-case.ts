// Runs a case, and compares its reply with the result of its situation.
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { expect } from 'vitest'
import type { Received } from '../fixtures/mqtt-client.ts'
import { exposedName, type BodyCheck, type ProtocolCase } from './case.ts'
import { resultOf } from './situations.ts'
import { WAYS } from './ways.ts'
import { CLIENT, type ProtocolWorld } from './world.ts'

/** Publishes the request, and checks everything about its reply. */
export async function runCase(each: ProtocolCase, world: ProtocolWorld): Promise<void> {
  const { simultaneous = 1 } = each
  const replies = await Promise.all(Array.from({ length: simultaneous }, () => ask(each, world)))
  const others = simultaneous === 1 ? [] : replies.filter(({ user }) => user['code'] === undefined)
  expect(others.length).toBeLessThan(simultaneous)
  for (const reply of replies.filter((any) => !others.includes(any))) {
    checkResult(each, reply)
    if (each.reply !== undefined) checkBody(reply.payload, each.reply)
    expect(reply.user).toMatchObject({ ...each.user })
    checkSecrets(each, reply, world)
  }
}

async function ask(each: ProtocolCase, { client, openCalls }: ProtocolWorld): Promise<Received> {
  const version = each.version === undefined ? '' : `@${each.version}`
  const path = `${CLIENT}/${exposedName(each.model)}${version}/${WAYS[each.way].operation}`
  const correlationData = randomBytes(12)
  const isReply = ({ properties }: Received): boolean =>
    properties.correlationData?.equals(correlationData) === true
  await client.publish(`infer/request/${path}`, each.body ?? '', { ...each.properties, correlationData })
  if (each.holds === true) await expect.poll(openCalls).toBe(1)
  if (each.cancelAfter !== undefined) {
    const parts = (): Received[] => client.received.filter(isReply)
    await expect.poll(() => parts().length, { interval: 5 }).toBeGreaterThanOrEqual(each.cancelAfter)
    await client.publish(`infer/cancel/${path}`, '', { correlationData })
  }
  const reply = await client.wait((message) => isReply(message) && isLast(message), `reply to ${path}`)
  if (each.holds === true) await expect.poll(openCalls).toBe(0)
  const all = client.received.filter(isReply)
  checkParts(each, all.slice(0, -1), reply)
  expect(all.map(({ topic }) => topic)).toEqual(all.map(() => `infer/reply/${path}`))
  return reply
}

/** Whether a message is a whole answer or the end of a stream. */
export function isLast({ user }: Received): boolean {
  return user['seq'] === undefined || user['final'] === 'true'
}

function checkParts(
  { parts = [], cancelAfter = 0 }: ProtocolCase,
  received: Received[],
  end: Received,
): void {
  expect(received.map(({ user }) => user['seq'])).toEqual(received.map((_, index) => String(index)))
  if (received.length > 0) expect(end.user).toMatchObject({ seq: String(received.length), final: 'true' })
  // More parts may arrive before the cancel message does.
  if (cancelAfter === 0) expect(received.length).toBe(parts.length)
  else expect(received.length).toBeGreaterThanOrEqual(cancelAfter)
  for (const [index, check] of parts.entries()) checkBody(received[index]!.payload, check)
  for (const { properties } of received) expect(properties.contentType).toBe('application/json')
}

// The addresses of servers and the paths of their files appear only in the log.
function checkSecrets({ model }: ProtocolCase, { payload }: Received, { urls }: ProtocolWorld): void {
  const text = payload.toString('latin1')
  const { http, grpc } = urls[model.server]
  for (const secret of [new URL(http).host, new URL(grpc).host, tmpdir(), process.cwd(), 'site-packages']) {
    expect(text).not.toContain(secret)
  }
}

function checkResult(each: ProtocolCase, { user, payload, properties }: Received): void {
  const { code, status = each.status, retryable } = resultOf(each.situation)
  const result = { status: user['status'], code: user['code'] }
  expect(result, payload.toString('utf8', 0, 500)).toEqual({ status: String(status), code })
  if (code === undefined || code === 'upstream_error') return
  expect(properties.contentType).toBe('application/json')
  const body = JSON.parse(payload.toString()) as Record<string, unknown>
  expect(body).toMatchObject({ code, status, retryable })
  expect(String(body['error']).length).toBeGreaterThan(3)
}

function checkBody(payload: Buffer, check: BodyCheck): void {
  if (Buffer.isBuffer(check)) expect(payload).toEqual(check)
  else if (typeof check === 'string') expect(payload.toString()).toBe(check)
  else if (check instanceof RegExp) expect(payload.toString()).toMatch(check)
  else expect(JSON.parse(payload.toString())).toMatchObject(check)
}
