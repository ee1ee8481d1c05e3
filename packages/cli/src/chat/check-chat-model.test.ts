import type { ReceivedCard } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { checkChatModel } from './check-chat-model.ts'

const card = (name: string, ...operations: string[]): ReceivedCard =>
  ({ name, operations }) as unknown as ReceivedCard
const cards = [card('iris', 'predict'), card('toy-chat', 'chat', 'completions')]

test('accepts any version of a model with chat, and accepts every model if no card can be read', () => {
  checkChatModel(cards, 'toy-chat')
  checkChatModel(cards, 'toy-chat@2')
  checkChatModel([], 'iris')
})

test('refuses a model without chat; for an unknown name, suggests the most similar name', () => {
  expect(() => checkChatModel(cards, 'iris')).toThrow('Model "iris" has no chat; chat models: toy-chat')
  expect(() => checkChatModel([cards[0]!], 'iris')).toThrow('chat models: none')
  expect(() => checkChatModel(cards, 'toychat')).toThrow(
    expect.objectContaining({ remedy: expect.stringContaining('"toy-chat"') as string, exitCode: 1 }),
  )
})
