"""The reader of C++ tests says what holds, what departs, and what it could not ask."""

from programs.cpp_tests import googletest, syntax

SOURCE = r"""
constexpr char kGreeting[] = "good "
                             "day";
const int kThree = 3;

TEST(Suite, AllKinds) {
  string text = R"x(a)" "b)x";  // EXPECT_TRUE(false);
  text.append(2, 'c');
  EXPECT_EQ(text, "a)\" \"bcc");
  EXPECT_EQ(text.size() - kThree, /* it is 5 */ 5) << "never" << "seen";
  string one, other;
  Fill(kGreeting, &one);
  EXPECT_THAT(one, Contains("day"));
  EXPECT_THAT(one, Contains("night"));
  EXPECT_FALSE(IsEmpty(one));
  ExpectDay (one, names ::kDay);
  EXPECT_FALSE(IsEmpty(other));
  ASSERT_TRUE(Parse("x"));
}

TEST_F(Suite, AFailureLeavesNothingBehind) {
  string text = "x";
  text = Raise();
  EXPECT_EQ(text, "x");
}

TYPED_TEST(Suite, UnknownNames) {
  EXPECT_NE(kThree, -3);
  if (Unknown()) {
    EXPECT_TRUE(true);
  } else {
    EXPECT_TRUE(false);
  }
  EXPECT_TRUE(true);
  ASSERT_TRUE(Parse("x"));
}
"""


def contains(part):
    return lambda text: "" if part in text else f"{text!r} lacks {part!r}"


def fill(text, target):
    target.set(text)


def fail():
    raise KeyError("gone")


def test_what_it_says_of_each_assertion():
    tokens = syntax.tokenize(SOURCE)
    names = {
        "string": str,
        "Contains": contains,
        "Fill": fill,
        "ExpectDay": lambda text, day: contains(day)(text),
        "names::kDay": "Sunday",
        "IsEmpty": lambda text: not text,
        "Parse": lambda text: True,
        "Raise": fail,
        **googletest.constants(tokens),
    }
    assert names["kGreeting"] == "good day"
    found = {
        name: (typed, list(googletest.run(name, body, names, {"Parse"})))
        for name, typed, body in googletest.bodies(tokens)
    }
    typed, outcomes = found["Suite.AllKinds"]
    assert not typed
    assert [(one.verdict, one.why) for one in outcomes] == [
        ("holds", ""),
        ("holds", ""),
        ("holds", ""),
        ("departs", "'good day' lacks 'night'"),
        ("holds", ""),
        ("departs", "'good day' lacks 'Sunday'"),
        ("departs", "is true"),
    ]
    [outcome] = found["Suite.AFailureLeavesNothingBehind"][1]
    assert (outcome.verdict, outcome.why) == ("departs", "KeyError: 'gone'")
    typed, outcomes = found["Suite.UnknownNames"]
    assert typed
    assert [one.verdict for one in outcomes] == ["holds"] + ["not asked"] * 3
