import t from 'tap';
import { DOCKER_FUNCTIONS, parseTemplate, structValue, TemplateError } from '../src/index.js';

const data = {
  s: 'hello',
  u: 'héllo €',
  e: '',
  t: true,
  nil: null,
  n: 5,
  l: ['a', 'b', 'c'],
  el: [],
  m: { b: '2', a: '1', c: 'é' },
  lm: [{ N: 'one' }, { N: 'two' }],
  deep: { er: { est: 'x' } },
  greet: (name: string) => `hi ${name}`,
  now: () => 'noon',
};

function run(text: string, missing?: 'error' | 'zero'): string {
  return parseTemplate(text, { functions: DOCKER_FUNCTIONS, ...(missing && { missing }) }).execute(data);
}

function failure(text: string, missing?: 'error' | 'zero'): string {
  try {
    return `no error: ${run(text, missing)}`;
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    return thrown.message;
  }
}

type Table = Readonly<Record<string, readonly (readonly [template: string, expected: string])[]>>;

const OUTPUT: Table = {
  'fields, variables and data': [
    ['{{.s}} {{ .deep.er.est }} {{$.s}}', 'hello x hello'],
    ['{{.nope}}|{{.nil}}|{{.nope.deeper}}', '<no value>|<no value>|<no value>'],
    ['{{print .nope .nil}}', '<nil> <nil>'],
    ['{{.now}} {{.greet "you"}} {{"me" | .greet}} {{call .greet "all"}}', 'noon hi you hi me hi all'],
    ['{{(index .lm 1).N}} {{$x := .deep}}{{$x.er.est}}', 'two x'],
  ],
  'prints values as Go does': [
    ['{{.m}} {{.l}} {{.el}} {{.t}} {{.n}} {{.lm}}', 'map[a:1 b:2 c:é] [a b c] [] true 5 [map[N:one] map[N:two]]'],
    [
      '{{1e3}} {{1000000.5}} {{0.00001}} {{1.5}} {{-3}} {{0x1f}} {{010}} {{0b11}} {{1_000}}',
      '1000 1.0000005e+06 1e-05 1.5 -3 31 8 3 1000',
    ],
    ['{{9007199254740993}} {{"\\u00e9\\x41\\101\\n"}} {{`raw\\n`}} {{\'a\'}}', '9007199254740993 éAA\n raw\\n 97'],
  ],
  'trims and comments': [
    ['a \n {{- .n -}} \n b', 'a5b'],
    ['a {{/* no */}} b {{- /* no */ -}} c', 'a  bc'],
    ['{{.n -}}   x   {{- .e}}{{"}}"}} }}', '5x}} }}'],
    ['{{-3}} { {{- 4}}', '-3 {4'],
  ],
  'control structures': [
    ['{{if .e}}1{{else if .nil}}2{{else}}3{{end}}{{if .t}}4{{end}}', '34'],
    ['{{with .deep.er}}{{.est}}{{$.n}}{{else}}no{{end}}{{with .e}}{{else with .s}}{{.}}{{end}}', 'x5hello'],
    ['{{range .l}}{{.}},{{end}}{{range .el}}{{else}}none{{end}}', 'a,b,c,none'],
    ['{{range $i, $v := .l}}{{$i}}={{$v}} {{end}}{{range $k, $v := .m}}{{$k}}{{$v}}{{end}}', '0=a 1=b 2=c a1b2cé'],
    ['{{range $i, $v := .l}}{{if eq $i 1}}{{continue}}{{end}}{{$v}}{{if eq $v "c"}}{{break}}{{end}}{{end}}', 'ac'],
    ['{{range 3}}{{.}}{{end}}{{range $x := .l}}{{$x}}{{end}}', '012abc'],
    ['{{$x := 1}}{{if .t}}{{$x = 2}}{{$x := 3}}{{$x}}{{end}}{{$x}}', '32'],
    ['{{$x := "a"}}{{if .t}}{{$x := print $x "b"}}{{$x}}{{end}}', 'ab'],
    ['{{$last := ""}}{{range .l}}{{$last = .}}{{end}}{{$last}}', 'c'],
    [
      '{{define "x"}}<{{.}}>{{end}}{{template "x" .s}}{{template "x"}}{{block "y" .n}}[{{.}}{{$}}]{{end}}',
      '<hello><<no value>>[55]',
    ],
  ],
  'functions of Go': [
    ['{{and 1 0 .greet}} {{and .s 2}} {{or .e .nil "z"}} {{or 1 (index .l 9)}} {{not .e}}', '0 2 z 1 true'],
    [
      '{{eq .n 1 5}} {{ne "a" "b"}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1 2}} {{eq .nil nil}}',
      'true true true true true false true',
    ],
    ['{{len .u}} {{len .l}} {{len .m}} {{len ""}}', '10 3 3 0'],
    ['{{index .l 1}} {{index .m "a"}} {{index .lm 0 "N"}}[{{index .m "zz"}}]', 'b 1 one[]'],
    ['{{slice .l 1}} {{slice .l 0 2}} {{slice .s 1 3}}', '[b c] [a b] el'],
    ['{{print 1 2 "a" "b" 3 true}}|{{println 1 "a"}}|', '1 2ab3 true|1 a\n|'],
    [
      '{{html "<a href=\\"x\\">"}} {{js "it\'s <b>"}} {{urlquery "a b&c=é!"}}',
      "&lt;a href=&#34;x&#34;&gt; it\\'s \\u003Cb\\u003E a+b%26c%3D%C3%A9%21",
    ],
    ['{{"a" | printf "%s-%s" "b" | upper | printf "%q"}}', '"B-A"'],
  ],
  'functions of docker': [
    [
      '{{json .lm}} {{json .m}} {{json "<é>"}} {{json .nil}}',
      '[{"N":"one"},{"N":"two"}] {"a":"1","b":"2","c":"é"} "<é>" null',
    ],
    ['{{split "a,b" ","}} {{join .l "-"}} {{join (split "x y" " ") "+"}}', '[a b] a-b-c x+y'],
    ['{{title "hello wOrld-foo bar_x d\'o"}} {{lower "ÀB"}} {{upper .u}}', "Hello WOrld-Foo Bar_x D'O àb HÉLLO €"],
    ['{{pad "a" 1 2}}|{{pad "" 1 2}}|{{truncate "abcdef" 3}}|{{truncate "ab" 3}}', ' a  ||abc|ab'],
  ],
};

for (const [subject, cases] of Object.entries(OUTPUT)) {
  t.test(`template › ${subject}`, async (t) => {
    for (const [template, expected] of cases) t.equal(run(template), expected, template);
  });
}

const FAILURES: Table = {
  'parsing fails with the line and the words of Go': [
    ['{{.s', 'template: :1: unclosed action'],
    ['a\n{{if}}', 'template: :2: missing value for if'],
    ['{{.s | foo}}', 'template: :1: function "foo" not defined'],
    ['{{if true}}', 'template: :1: unexpected EOF'],
    ['{{end}}', 'template: :1: unexpected {{end}}'],
    ['{{else}}', 'template: :1: unexpected {{else}}'],
    ['{{break}}', 'template: :1: {{break}} outside {{range}}'],
    ['{{"abc', 'template: :1: unterminated quoted string'],
    ['{{(1}}', 'template: :1: unclosed left paren'],
    ['{{1)}}', 'template: :1: unexpected right paren'],
    ['{{/* a }}', 'template: :1: unclosed comment'],
    ['{{$y}}', 'template: :1: undefined variable "$y"'],
    ['{{with $x := 1}}{{end}}{{$x}}', 'template: :1: undefined variable "$x"'],
    ['{{.s | 5}}', 'template: :1: non executable command in pipeline stage 2'],
    ['{{.s %}}', 'template: :1: unexpected "%" in operand'],
    ['{{1x}}', 'template: :1: bad number syntax: "1x"'],
    ['{{.s#}}', "template: :1: bad character U+0023 '#'"],
    ['{{range $a, $b, $c := .l}}{{end}}', 'template: :1: too many declarations in range'],
    ['{{define "x"}}a{{end}}{{define "x"}}b{{end}}', 'template: :1: template: multiple definition of template "x"'],
    ['{{if .t}}{{define "z"}}{{end}}{{end}}', 'template: :1: unexpected <define> in command'],
  ],
  'executing fails with line, column in bytes and node': [
    [
      '{{.s}}{{index .l 100}}',
      'template: :1:8: executing "" at <index .l 100>: error calling index: index out of range: 100',
    ],
    ['é\né{{template "x"}}', 'template: :2:13: executing "" at <{{template "x"}}>: template "x" not defined'],
    ['{{truncate .u}}', 'template: :1:2: executing "" at <truncate>: wrong number of args for truncate: want 2 got 1'],
    ['{{truncate 5 5}}', 'template: :1:11: executing "" at <5>: expected string; found 5'],
    ['{{1 | upper}}', 'template: :1:6: executing "" at <upper>: wrong type for value; expected string; got int'],
    ['{{upper .l}}', 'template: :1:8: executing "" at <.l>: wrong type for value; expected string; got []string'],
    ['{{.s.foo}}', 'template: :1:4: executing "" at <.s.foo>: can\'t evaluate field foo in type string'],
    ['{{.nil.foo}}', 'template: :1:6: executing "" at <.nil.foo>: nil pointer evaluating interface {}.foo'],
    ['{{.s 1}}', 'template: :1:2: executing "" at <.s>: s is not a method but has arguments'],
    ['{{3 4}}', 'template: :1:2: executing "" at <3>: can\'t give argument to non-function 3'],
    ['{{nil}}', 'template: :1:2: executing "" at <nil>: nil is not a command'],
    ['{{$x = 1}}', 'template: :1:7: executing "" at <1>: undefined variable: $x'],
    ['{{eq 1 "a"}}', 'template: :1:2: executing "" at <eq 1 "a">: error calling eq: incompatible types for comparison'],
    ['{{lt .l 1}}', 'template: :1:2: executing "" at <lt .l 1>: error calling lt: invalid type for comparison'],
    ['{{range .s}}{{end}}', 'template: :1:8: executing "" at <.s>: range can\'t iterate over hello'],
    ['{{len 3}}', 'template: :1:2: executing "" at <len 3>: error calling len: len of type int'],
    [
      '{{define "d"}}{{len 3}}{{end}}{{template "d"}}',
      'template: :1:16: executing "d" at <len 3>: error calling len: len of type int',
    ],
    ['{{call .s}}', 'template: :1:2: executing "" at <call .s>: error calling call: non-function .s of type string'],
  ],
};

for (const [subject, cases] of Object.entries(FAILURES)) {
  t.test(`template › ${subject}`, async (t) => {
    for (const [template, expected] of cases) t.equal(failure(template), expected, template);
  });
}

t.test('template › a missing key is no value, an error or empty, as asked', async (t) => {
  t.equal(run('{{.m.zz}}'), '<no value>');
  t.equal(run('{{.m.zz}}|', 'zero'), '|');
  t.equal(failure('{{.m.zz}}', 'error'), 'template: :1:4: executing "" at <.m.zz>: map has no entry for key "zz"');
});

t.test('template › a struct refuses unknown fields and prints its own in order', async (t) => {
  const struct = { v: structValue('main.T', { B: 'x', A: 1 }) };
  const execute = (text: string) => parseTemplate(text).execute(struct);
  t.equal(execute('{{.v}} {{printf "%+v" .v}} {{.v.B}}{{if .v}}!{{end}}'), '{x 1} {B:x A:1} x!');
  t.throws(() => execute('{{.v.C}}'), {
    message: `template: :1:4: executing "" at <.v.C>: can't evaluate field C in type main.T`,
  });
});

t.test('template › inherited properties of data are not reachable', async (t) => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    t.equal(run(`{{.${name}}}`), '<no value>');
    t.equal(run(`{{index .m "${name}"}}`), '');
    t.equal(failure(`{{${name} 1}}`), `template: :1: function "${name}" not defined`);
  }
});

t.test('template › what it throws in a function is an error at the call', async (t) => {
  const boom = () => {
    throw new Error('boom');
  };
  const template = parseTemplate('a{{boom}}b', { functions: { boom } });
  t.throws(() => template.execute({}), { message: 'template: :1:3: executing "" at <boom>: error calling boom: boom' });
  t.same(template.executePartially({}).text, 'a');
});

t.test('template › endless templates end in an error', async (t) => {
  t.match(failure('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}'), 'exceeded maximum template depth');
  t.match(failure('{{range 2000000000}}{{end}}'), 'exceeded 1000000 steps');
  t.match(failure('{{range 100000}}{{printf "%1000d" 1}}{{end}}'), 'text exceeds');
  t.match(failure('{{$x := "abcdefgh"}}{{range 60}}{{$x = print $x $x}}{{end}}'), 'error calling print: exceeded');
  t.match(failure('{{$x := printf "%1000000d" 1}}{{range 999999}}{{slice $x 1 2}}{{end}}'), 'exceeded 1000000 steps');
  t.match(failure(`{{${'('.repeat(100_000)}1${')'.repeat(100_000)}}}`), 'template: : ');
});

t.test('template › one compiled template serves many executions', async (t) => {
  const template = parseTemplate('{{$x := .a}}{{with .b}}{{$x}}{{.}}{{end}}');
  t.equal(template.execute({ a: 1, b: 2 }), '12');
  t.equal(template.execute({ a: 3, b: 0 }), '');
  t.equal(template.execute({ a: 5, b: 6 }), '56');
});
