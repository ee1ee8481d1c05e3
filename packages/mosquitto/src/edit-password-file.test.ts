import { describe, expect, test } from 'vitest'
import { deleteUser, hashPlainText, setUser, unhashableLines } from './edit-password-file.ts'

const HASH = `$6$${'A'.repeat(16)}$${'A'.repeat(86)}==`
const hash = (password: string): Promise<string> => Promise.resolve(`<${password}>`)

describe('setting a user', () => {
  test('adds a new line, even if the last line has no line feed', () => {
    expect(setUser('', 'ann', HASH)).toBe(`ann:${HASH}\n`)
    expect(setUser('bob:x', 'ann', HASH)).toBe(`bob:x\nann:${HASH}\n`)
  })

  test("replaces the user's first line, removes further lines of that user, and keeps all other lines", () => {
    const before = '# users\r\n\nann:old\nbob : x \r\nannie:y\n ann :older\nno colon\n'
    expect(setUser(before, 'ann', HASH)).toBe(`# users\r\n\nann:${HASH}\nbob : x \r\nannie:y\nno colon\n`)
  })
})

test('deletes all lines of a user, and no other lines', () => {
  expect(deleteUser('# c\nann:1\nbob:2\n ann: 3\n', 'ann')).toBe('# c\nbob:2\n')
  expect(deleteUser('ann:1\n', 'an')).toBeUndefined()
  expect(deleteUser('#ann:1\n', '#ann')).toBeUndefined()
})

describe('hashing plain text', () => {
  test('hashes the rest of the line including spaces and colons, and leaves hashes and comments unchanged', async () => {
    const before = `# c\nann:a:b\nbob: x \r\n\ncid:${HASH}\n`
    expect(await hashPlainText(before, hash)).toEqual({
      text: `# c\nann:<a:b>\nbob:< x >\n\ncid:${HASH}\n`,
      hashed: ['ann', 'bob'],
    })
  })

  test('changes nothing the second time', async () => {
    const text = `ann:${HASH}\n# c\n`
    expect(await hashPlainText(text, hash)).toEqual({ text, hashed: [] })
  })

  test.each([
    ['no colon', 'has no ":"'],
    ['a/b:x', 'user name'],
    ['ann:', 'is empty'],
    ['ann:x\0', 'NUL'],
    ['ann:$6$broken', 'begins like a hash'],
    ['ann:$argon2id$broken', 'begins like a hash'],
  ])('is refused for the line %j', (line, message) => {
    const found = unhashableLines(`bob:x\n${line}\n`)
    expect(found).toEqual([{ line: 2, message: expect.stringContaining(message) as string }])
  })
})
