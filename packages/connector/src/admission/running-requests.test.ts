import { Problem } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { RunningRequests, type RequestName } from './running-requests.ts'

const name = (parts: Partial<RequestName> = {}): RequestName => ({
  client: 'cam7',
  model: 'iris',
  operation: 'infer',
  id: undefined,
  correlationData: undefined,
  ...parts,
})
const bytes = (text: string): Buffer => Buffer.from(text)

function arrange() {
  const running = new RunningRequests()
  const stopped: string[] = []
  const add = (label: string, parts: Partial<RequestName>) => {
    const request = { stop: ({ code }: Problem) => void stopped.push(`${label} ${code}`) }
    running.add(name(parts), request)
    return { name: name(parts), request }
  }
  return { running, stopped, add }
}

test('stops the request with that id, or that Correlation Data, of that client, model and operation', () => {
  const { running, stopped, add } = arrange()
  add('by id', { id: '7' })
  add('by correlation', { correlationData: bytes('7') })
  add('other client', { client: 'cam8', id: '7', correlationData: bytes('7') })
  add('other model', { model: 'digits', id: '7' })
  add('other operation', { operation: 'predict', id: '7' })
  add('nameless', {})
  expect(running.cancel(name({ id: '7' }))).toBe(1)
  expect(running.cancel(name({ correlationData: bytes('7') }))).toBe(1)
  expect(stopped).toEqual(['by id cancelled', 'by correlation cancelled'])
  expect(running.cancel(name())).toBe(0)
})

test('a cancel that names both means the request that has both', () => {
  const { running, stopped, add } = arrange()
  add('both', { id: '7', correlationData: bytes('x') })
  add('same id', { id: '7', correlationData: bytes('y') })
  expect(running.cancel(name({ id: '7', correlationData: bytes('x') }))).toBe(1)
  expect(running.cancel(name({ id: '8', correlationData: bytes('x') }))).toBe(0)
  expect(stopped).toEqual(['both cancelled'])
  expect(running.cancel(name({ id: '7' }))).toBe(2)
})

test('binary Correlation Data is compared byte by byte', () => {
  const { running, add } = arrange()
  add('one', { correlationData: Uint8Array.of(0, 255, 10) })
  expect(running.cancel(name({ correlationData: Uint8Array.of(0, 255, 11) }))).toBe(0)
  expect(running.cancel(name({ correlationData: Uint8Array.of(0, 255, 10) }))).toBe(1)
})

test('what has ended is not found, and leaves nothing behind', () => {
  const { running, stopped, add } = arrange()
  const first = add('first', { id: '7', correlationData: bytes('x') })
  const second = add('second', { id: '7' })
  running.remove(first.name, first.request)
  expect(running.cancel(name({ correlationData: bytes('x') }))).toBe(0)
  expect(running.cancel(name({ id: '7' }))).toBe(1)
  running.remove(second.name, second.request)
  running.remove(second.name, second.request)
  expect([running.size, stopped]).toEqual([0, ['second cancelled']])
})
